package siwe

import (
	"slices"
	"strings"
	"time"
)

// Policy says which well-formed messages a service accepts. The zero Policy
// accepts none.
type Policy struct {
	// Domains are the accepted domains, compared byte for byte: in lower case,
	// with the port if the pages have one. Never take one from the request's
	// Host header, which the sender writes.
	Domains []string
	// AllowHTTP also accepts plain http, for a domain on this machine:
	// localhost, 127.0.0.1 or [::1]. For local development only.
	AllowHTTP bool
	// ChainIDs are the EIP-155 ids of the accepted chains.
	ChainIDs []uint64
	// Statement is the one accepted statement.
	Statement string
	// MaxAge is how far IssuedAt may be before now, inclusive.
	MaxAge time.Duration
	// MaxAhead is how far IssuedAt and NotBefore may be after now, inclusive:
	// the clock of the signer may be ahead. ExpirationTime has no such
	// tolerance. A clock that is behind only ends a message early, and a
	// message must never be accepted after its end.
	MaxAhead time.Duration
}

// PolicyError says that the service does not accept a well-formed message.
type PolicyError struct {
	// Reason is one of "domain", "scheme", "uri", "chain", "statement",
	// "issued-at", "expired" and "not-yet-valid".
	Reason string
}

// Error returns the reason.
func (e *PolicyError) Error() string { return "message not accepted: " + e.Reason }

// Check compares a parsed message with the policy, at the time now. Every error
// is a [*PolicyError] with the first reason found. Each rule is independent:
// leaving out an optional field of a message switches off no other rule.
//
// It does not check the nonce, which only its issuer can know, or the address,
// which only the signature proves.
func (p Policy) Check(m *Message, now time.Time) error {
	switch {
	case !slices.Contains(p.Domains, m.Domain):
		return &PolicyError{"domain"}
	case !p.acceptsScheme(m):
		return &PolicyError{"scheme"}
	case !p.acceptsURI(m):
		return &PolicyError{"uri"}
	case !slices.Contains(p.ChainIDs, m.ChainID):
		return &PolicyError{"chain"}
	case m.Statement == nil || *m.Statement != p.Statement:
		return &PolicyError{"statement"}
	}
	return p.checkTimes(m, now)
}

// checkTimes checks the interval of the standard, not-before <= now <
// expiration, with MaxAhead at its beginning, and the two bounds of issued-at.
func (p Policy) checkTimes(m *Message, now time.Time) error {
	issued, latest := m.IssuedAt.Instant(), now.Add(p.MaxAhead)
	switch {
	case issued.Before(now.Add(-p.MaxAge)) || issued.After(latest):
		return &PolicyError{"issued-at"}
	case m.ExpirationTime != nil && !now.Before(m.ExpirationTime.Instant()):
		return &PolicyError{"expired"}
	case m.NotBefore != nil && (m.NotBefore.Instant().After(latest) || m.neverValid()):
		return &PolicyError{"not-yet-valid"}
	}
	return nil
}

// neverValid reports whether the interval of a message with NotBefore is empty.
// The tolerance must not make it one that has a moment.
func (m *Message) neverValid() bool {
	return m.ExpirationTime != nil &&
		!m.NotBefore.Instant().Before(m.ExpirationTime.Instant())
}

// Origin returns the origin of one of the policy's domains: https and the
// domain, or http if AllowHTTP applies to it. It is the URI of messages that
// the service writes itself.
func (p Policy) Origin(domain string) string {
	if p.acceptsHTTP(domain) {
		return "http://" + domain
	}
	return "https://" + domain
}

// acceptsScheme accepts https, and no scheme, which means https as in the
// standard. It accepts http if AllowHTTP applies.
func (p Policy) acceptsScheme(m *Message) bool {
	switch m.Scheme {
	case "", "https":
		return true
	case "http":
		return p.acceptsHTTP(m.Domain)
	}
	return false
}

// acceptsURI requires the URI to be on the domain of the same message. If
// several domains are accepted, each can speak only for itself.
func (p Policy) acceptsURI(m *Message) bool {
	return within(m.URI, "https://"+m.Domain) || within(m.URI, p.Origin(m.Domain))
}

// within reports whether the authority of uri ends where origin ends. A path,
// query or fragment must follow: ".evil.org", ":8080" or "@evil.org" would make
// it another authority.
func within(uri, origin string) bool {
	rest, ok := strings.CutPrefix(uri, origin)
	return ok && (rest == "" || isOneOf(rest[0], "/?#"))
}

func (p Policy) acceptsHTTP(domain string) bool {
	host, _, _ := splitPort(domain)
	return p.AllowHTTP && (host == "localhost" || host == "127.0.0.1" || host == "[::1]")
}
