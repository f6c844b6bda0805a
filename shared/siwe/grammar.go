package siwe

import (
	"net/netip"
	"strconv"
	"strings"
)

// maxURI bounds the URI and each resource, in bytes. A person could not check a
// longer one before signing.
const maxURI = 2048

// The characters of RFC 3986, section 2 and appendix A.
const (
	unreservedMarks = "-._~"
	subDelims       = "!$&'()*+,;="
	genDelims       = ":/?#[]@"
	pcharMarks      = ":@"
	pathMarks       = pcharMarks + "/"
	queryMarks      = pathMarks + "?"
)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isAlphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }

func isHexDigit(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

func isUnreserved(c byte) bool { return isAlphanumeric(c) || isOneOf(c, unreservedMarks) }

func isOneOf(c byte, marks string) bool { return strings.IndexByte(marks, c) >= 0 }

func consistsOf(text string, allowed func(byte) bool) bool {
	for i := range len(text) {
		if !allowed(text[i]) {
			return false
		}
	}
	return true
}

// consistsOfEncoded reports whether text is *( unreserved / pct-encoded /
// sub-delims / one of marks ).
func consistsOfEncoded(text, marks string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			if len(text)-i < 3 || !isHexDigit(text[i+1]) || !isHexDigit(text[i+2]) {
				return false
			}
			i += 2
		case !isUnreserved(c) && !isOneOf(c, subDelims) && !isOneOf(c, marks):
			return false
		}
	}
	return true
}

// ValidStatement reports whether text can be the statement of a message. It may
// have letters, digits, spaces and -._~:/?#[]@!$&'()*+,;= and nothing else. The
// empty text is valid.
//
// An erratum of the standard proposes all of printable ASCII. This package
// keeps to the grammar. Wallets that parse strictly treat any other message as
// ordinary text, and then do not warn of a wrong domain. Nothing is lost:
// [Policy.Check] accepts only the configured statement, and the configuration
// can be checked with this function.
func ValidStatement(text string) bool {
	return consistsOf(text, func(c byte) bool {
		return c == ' ' || isUnreserved(c) || isOneOf(c, subDelims) || isOneOf(c, genDelims)
	})
}

// ValidDomain reports whether text can be the domain of a message: a host and
// an optional port, without userinfo. It accepts upper case and trailing dots.
// Browsers send neither, so a configured domain that has one matches no
// message.
func ValidDomain(text string) bool { return domainFault(text) == "" }

// domainFault returns why text is not a domain, or "" if it is one. It refuses
// userinfo, which the grammar allows: "example.com@evil.org" looks like
// example.com but is evil.org.
func domainFault(text string) string {
	if strings.Contains(text, "@") {
		return "must not have userinfo"
	}
	host, port, hasPort := splitPort(text)
	if host == "" || !validHost(host) {
		return "must have an RFC 3986 host"
	}
	if !hasPort {
		return ""
	}
	// ParseUint takes digits only, no sign, and at least one.
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "the port must be a number from 0 to 65535"
	}
	return ""
}

// splitPort cuts host [ ":" port ] at the colon. A colon inside brackets
// belongs to the host.
func splitPort(text string) (host, port string, hasPort bool) {
	literal := strings.LastIndexByte(text, ']') + 1
	name, port, hasPort := strings.Cut(text[literal:], ":")
	return text[:literal] + name, port, hasPort
}

// validHost reports whether text is an IP-literal or a reg-name. A reg-name may
// be empty, and covers IPv4.
func validHost(text string) bool {
	inside, literal := strings.CutPrefix(text, "[")
	if !literal {
		return consistsOfEncoded(text, "")
	}
	inside, closed := strings.CutSuffix(inside, "]")
	return closed && (validIPv6(inside) || validIPFuture(inside))
}

// validIPv6 reports whether text is an IPv6 address without a zone: RFC 3986
// has no zones.
func validIPv6(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is6() && ip.Zone() == ""
}

// validIPFuture reports whether text is "v" 1*HEXDIG "." 1*( unreserved /
// sub-delims / ":" ).
func validIPFuture(text string) bool {
	if text == "" || text[0] != 'v' && text[0] != 'V' {
		return false
	}
	version, address, _ := strings.Cut(text[1:], ".")
	return version != "" && consistsOf(version, isHexDigit) &&
		address != "" && !strings.Contains(address, "%") && consistsOfEncoded(address, ":")
}

func validScheme(text string) bool {
	return text != "" && isLetter(text[0]) &&
		consistsOf(text, func(c byte) bool { return isAlphanumeric(c) || isOneOf(c, "+-.") })
}

// validURI reports whether text is a URI of RFC 3986. A URI has a scheme, so a
// relative reference is not one.
func validURI(text string) bool {
	scheme, rest, found := strings.Cut(text, ":")
	if len(text) > maxURI || !found || !validScheme(scheme) {
		return false
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		slash := strings.IndexByte(after+"/", '/')
		if !validAuthority(after[:slash]) {
			return false
		}
		rest = after[slash:]
	}
	return consistsOfEncoded(rest, pathMarks) &&
		consistsOfEncoded(query, queryMarks) && consistsOfEncoded(fragment, queryMarks)
}

// validAuthority reports whether text is [ userinfo "@" ] host [ ":" port ] of
// RFC 3986. In a URI all of it may be empty.
func validAuthority(text string) bool {
	if userinfo, rest, found := strings.Cut(text, "@"); found {
		if !consistsOfEncoded(userinfo, ":") {
			return false
		}
		text = rest
	}
	host, port, _ := splitPort(text)
	return validHost(host) && consistsOf(port, isDigit)
}
