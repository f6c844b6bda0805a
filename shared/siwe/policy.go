package siwe

import (
	"slices"
	"strings"
	"time"
)

// Policy is what a service accepts of messages that are well formed. The zero Policy accepts none.
type Policy struct {
	// Domains are the accepted domains, compared byte for byte: lower case, with the port where the pages have one. Never
	// take one from the request's Host header, which the sender writes.
	Domains []string
	// AllowHTTP accepts plain http too, for a domain on this very machine: localhost, 127.0.0.1 or [::1]. For local
	// development only.
	AllowHTTP bool
	// ChainIDs are the accepted chains.
	ChainIDs []uint64
	// Statement is the one accepted statement.
	Statement string
	// MaxAge and MaxAhead are how far IssuedAt may lie behind and ahead of now. Both bounds are within.
	MaxAge, MaxAhead time.Duration
}

// PolicyError says that a well-formed message is not one that the service accepts.
type PolicyError struct {
	// Reason is one of "domain", "scheme", "uri", "chain", "statement", "issued-at", "expired" and "not-yet-valid".
	Reason string
}

// Error names the reason.
func (e *PolicyError) Error() string { return "message not accepted: " + e.Reason }

// Check compares a parsed message with the policy, at the time now. Every error is a *PolicyError with the first reason
// there is. Each rule stands on its own: no field that a message may leave out switches another rule off.
//
// Not checked are the nonce, which only its issuer can know, and the address, which only the signature proves.
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

// checkTimes holds the interval of the standard, not-before <= now < expiration, and the two bounds of issued-at.
func (p Policy) checkTimes(m *Message, now time.Time) error {
	issued := m.IssuedAt.Instant()
	switch {
	case issued.Before(now.Add(-p.MaxAge)) || issued.After(now.Add(p.MaxAhead)):
		return &PolicyError{"issued-at"}
	case m.ExpirationTime != nil && !now.Before(m.ExpirationTime.Instant()):
		return &PolicyError{"expired"}
	case m.NotBefore != nil && now.Before(m.NotBefore.Instant()):
		return &PolicyError{"not-yet-valid"}
	}
	return nil
}

// Origin is the origin of one of the policy's domains, and so a URI for messages of the service's own making: https and
// the domain, or http where AllowHTTP holds for it.
func (p Policy) Origin(domain string) string {
	if p.acceptsHTTP(domain) {
		return "http://" + domain
	}
	return "https://" + domain
}

// acceptsScheme takes no scheme for https, as the standard does.
func (p Policy) acceptsScheme(m *Message) bool {
	switch m.Scheme {
	case "", "https":
		return true
	case "http":
		return p.acceptsHTTP(m.Domain)
	}
	return false
}

// acceptsURI ties the URI to the domain of the same message: with a list of domains, each may only speak for itself.
func (p Policy) acceptsURI(m *Message) bool {
	return within(m.URI, "https://"+m.Domain) || within(m.URI, p.Origin(m.Domain))
}

// within reports whether the authority of uri ends where origin ends. What follows must open path, query or fragment:
// ".evil.org", ":8080" or "@evil.org" would make it another authority.
func within(uri, origin string) bool {
	rest, ok := strings.CutPrefix(uri, origin)
	return ok && (rest == "" || isOneOf(rest[0], "/?#"))
}

func (p Policy) acceptsHTTP(domain string) bool {
	host, _, _ := splitPort(domain)
	return p.AllowHTTP && (host == "localhost" || host == "127.0.0.1" || host == "[::1]")
}
