package redistest

// ParseAccess reads the access string of a template.
var ParseAccess = parseAccess
