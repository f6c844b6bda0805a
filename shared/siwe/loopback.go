package siwe

import (
	"strconv"
	"strings"
)

// maxHost is the longest name that DNS resolves, and maxLabel its longest part.
const (
	maxHost  = 253
	maxLabel = 63
)

// IsLoopback reports whether a domain, as host or host:port, can only be on
// this machine: localhost, a name that ends in .localhost, 127.0.0.1 or [::1].
// Nobody can register a name in localhost, and browsers resolve all of them to
// loopback addresses (RFC 6761, section 6.3). It accepts the spelling of
// browsers alone: lower case, and no dot at the end.
func IsLoopback(domain string) bool {
	host, port, hasPort := splitPort(domain)
	if hasPort && !validPort(port) {
		return false
	}
	switch host {
	case "localhost", "127.0.0.1", "[::1]":
		return true
	}
	labels, found := strings.CutSuffix(host, ".localhost")
	if !found || len(host) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(labels, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

// validPort reports whether a port is a number from 1 to 65535 as browsers
// write it.
func validPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0 && strconv.FormatUint(number, 10) == text
}

// validLabel reports whether a label has only letters in lower case, digits and
// hyphens, with no hyphen at either end.
func validLabel(label string) bool {
	outside := func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-')
	}
	return label != "" && len(label) <= maxLabel && strings.IndexFunc(label, outside) < 0 &&
		label[0] != '-' && label[len(label)-1] != '-'
}
