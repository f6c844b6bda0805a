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

// none is the index of a character that is refused, if none is. Every function
// below whose name begins with refused returns such an index: that of the first
// character that its grammar does not have there, or the length of the text if
// the text ends too early.
const none = -1

func refused(text string, allowed func(byte) bool) int {
	for i := range len(text) {
		if !allowed(text[i]) {
			return i
		}
	}
	return none
}

func consistsOf(text string, allowed func(byte) bool) bool {
	return refused(text, allowed) == none
}

// refusedEncoded is about *( unreserved / pct-encoded / sub-delims / one of
// marks ).
func refusedEncoded(text, marks string) int {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			if len(text)-i < 3 || !isHexDigit(text[i+1]) || !isHexDigit(text[i+2]) {
				return i
			}
			i += 2
		case !isUnreserved(c) && !isOneOf(c, subDelims) && !isOneOf(c, marks):
			return i
		}
	}
	return none
}

// first returns the first index that is not none.
func first(indices ...int) int {
	for _, at := range indices {
		if at != none {
			return at
		}
	}
	return none
}

// shifted returns the index in a text of a part that begins at start.
func shifted(at, start int) int {
	if at == none {
		return none
	}
	return start + at
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
func ValidStatement(text string) bool { return consistsOf(text, inStatement) }

func inStatement(c byte) bool {
	return c == ' ' || isUnreserved(c) || isOneOf(c, subDelims) || isOneOf(c, genDelims)
}

// checkDomain returns why text is not a domain: a host and an optional port. It
// refuses userinfo, which the grammar allows: "example.com@evil.org" looks like
// example.com but is evil.org. It accepts upper case and trailing dots. Browsers
// send neither, so a configured domain that has one matches no message.
func checkDomain(text string) fault {
	if at := strings.IndexByte(text, '@'); at >= 0 {
		return refusal("must not have userinfo", at)
	}
	host, port, hasPort := splitPort(text)
	if host == "" {
		return refusal("must have an RFC 3986 host", 0)
	}
	if at := refusedInHost(host); at != none {
		return refusal("must have an RFC 3986 host", at)
	}
	if !hasPort {
		return fault{}
	}
	const reason = "the port must be a number from 0 to 65535"
	start := len(text) - len(port)
	if at := refused(port, isDigit); at != none || port == "" {
		return refusal(reason, start+max(at, 0))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fault{reason: reason, at: start}
	}
	return fault{}
}

// splitPort cuts host [ ":" port ] at the colon. A colon inside brackets
// belongs to the host.
func splitPort(text string) (host, port string, hasPort bool) {
	literal := strings.LastIndexByte(text, ']') + 1
	name, port, hasPort := strings.Cut(text[literal:], ":")
	return text[:literal] + name, port, hasPort
}

// refusedInHost is about an IP-literal or a reg-name. A reg-name may be empty,
// and covers IPv4. An IP-literal is refused at its bracket.
func refusedInHost(text string) int {
	inside, literal := strings.CutPrefix(text, "[")
	if !literal {
		return refusedEncoded(text, "")
	}
	inside, closed := strings.CutSuffix(inside, "]")
	if closed && (validIPv6(inside) || validIPFuture(inside)) {
		return none
	}
	return 0
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
		address != "" && !strings.Contains(address, "%") && refusedEncoded(address, ":") == none
}

func refusedInScheme(text string) int {
	if text == "" || !isLetter(text[0]) {
		return 0
	}
	return refused(text, func(c byte) bool { return isAlphanumeric(c) || isOneOf(c, "+-.") })
}

// checkURI returns why text is not a URI of RFC 3986 that a person can check. A
// URI has a scheme, so a relative reference is not one.
func checkURI(text string) fault {
	const reason = "must be an absolute RFC 3986 URI of at most 2048 bytes"
	if len(text) > maxURI {
		return fault{reason: reason}
	}
	if at := refusedInURI(text); at != none {
		return refusal(reason, at)
	}
	return fault{}
}

func refusedInURI(text string) int {
	colon := refusedInScheme(text)
	switch {
	case colon == none:
		return len(text)
	case colon == 0 || text[colon] != ':':
		return colon
	}
	rest, fragment, _ := strings.Cut(text[colon+1:], "#")
	rest, query, _ := strings.Cut(rest, "?")
	end, authority, path := colon+1+len(rest), "", rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		slash := strings.IndexByte(after+"/", '/')
		authority, path = after[:slash], after[slash:]
	}
	return first(
		shifted(refusedInAuthority(authority), end-len(path)-len(authority)),
		shifted(refusedEncoded(path, pathMarks), end-len(path)),
		shifted(refusedEncoded(query, queryMarks), end+1),
		shifted(refusedEncoded(fragment, queryMarks), len(text)-len(fragment)),
	)
}

// refusedInAuthority is about [ userinfo "@" ] host [ ":" port ] of RFC 3986.
// In a URI all of it may be empty.
func refusedInAuthority(text string) int {
	userinfo, rest, found := strings.Cut(text, "@")
	if !found {
		userinfo, rest = "", text
	}
	host, port, _ := splitPort(rest)
	return first(
		refusedEncoded(userinfo, ":"),
		shifted(refusedInHost(host), len(text)-len(rest)),
		shifted(refused(port, isDigit), len(text)-len(port)),
	)
}
