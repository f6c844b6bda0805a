package config

// Version is the release that this source is or leads to. It is a constant and
// not set by a link flag, so that two builds of one commit are the same bytes.
const Version = "0.1.0"
