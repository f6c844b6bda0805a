package boot

// Version is the release that this source is or leads to. It stands in the source, not in a link flag, so that two
// builds of one commit are the same bytes.
const Version = "0.1.0"
