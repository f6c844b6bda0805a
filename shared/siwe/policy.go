package siwe

import (
	"slices"
	"strconv"
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
	// AnyLoopback also accepts every domain of [IsLoopback], over http or
	// https. It is only safe for a server that is connected to this machine
	// alone and checks the Host of each request.
	AnyLoopback bool
	// ChainIDs are the EIP-155 ids of the accepted chains.
	ChainIDs []uint64
	// Statement is the statement that a service offers. OtherStatements are
	// accepted too. If the message has a ReCap (ERC-5573), one of them must be
	// followed by a space and the ReCap's sentence. If the statement is empty,
	// the sentence stands alone.
	Statement       string
	OtherStatements []string
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
	// "resources", "issued-at", "expired" and "not-yet-valid".
	Reason string
	// Wanted says which values the policy accepts, and Got has the message's.
	// They are for people, in printable ASCII. Wanted shows the configuration,
	// so only a developer may see it.
	Wanted, Got string
}

// Error returns the reason.
func (e *PolicyError) Error() string { return "message not accepted: " + e.Reason }

// Explain returns the reason with what was wanted, and what came.
func (e *PolicyError) Explain() string {
	return e.Reason + ": wanted " + e.Wanted + ", got " + e.Got
}

// Check compares a parsed message with the policy, at the time now. Every error
// is a [*PolicyError] with the first reason found. Each rule is independent:
// leaving out an optional field of a message switches off no other rule.
//
// It does not check the nonce, which only its issuer can know, or the address,
// which only the signature proves. It reads no resource but a ReCap, whose
// sentence the statement must have.
func (p Policy) Check(m *Message, now time.Time) error {
	switch {
	case !p.AcceptsDomain(m.Domain):
		return &PolicyError{"domain", p.domains(), quoted([]string{m.Domain})}
	case !p.acceptsScheme(m):
		return &PolicyError{"scheme", `"https"`, quoted([]string{m.Scheme})}
	case !p.acceptsURI(m):
		return &PolicyError{"uri", quoted([]string{p.Origin(m.Domain)}) + " or a URI there",
			quoted([]string{m.URI})}
	case !slices.Contains(p.ChainIDs, m.ChainID):
		return &PolicyError{"chain", decimals(p.ChainIDs), decimals([]uint64{m.ChainID})}
	}
	if err := p.checkStatement(m); err != nil {
		return err
	}
	return p.checkTimes(m, now)
}

// checkStatement checks the statement, and the sentence that a ReCap adds to
// it.
func (p Policy) checkStatement(m *Message) error {
	sentence, err := m.recapSentence()
	if err != nil {
		return &PolicyError{"resources",
			`at most one "urn:recap:" resource, the last one, as in ERC-5573`, quoted(m.Resources)}
	}
	var accepted []string
	for _, statement := range append([]string{p.Statement}, p.OtherStatements...) {
		if statement != "" && sentence != "" {
			statement += " "
		}
		accepted = append(accepted, statement+sentence)
	}
	switch {
	case m.Statement == nil:
		return &PolicyError{"statement", quoted(accepted), "none"}
	case !slices.Contains(accepted, *m.Statement):
		return &PolicyError{"statement", quoted(accepted), quoted([]string{*m.Statement})}
	}
	return nil
}

// checkTimes checks the interval of the standard, not-before <= now <
// expiration, with MaxAhead at its beginning, and the two bounds of issued-at.
func (p Policy) checkTimes(m *Message, now time.Time) error {
	issued, oldest, latest := m.IssuedAt.Instant(), now.Add(-p.MaxAge), now.Add(p.MaxAhead)
	switch {
	case issued.Before(oldest) || issued.After(latest):
		return &PolicyError{"issued-at",
			"a time from " + clock(oldest) + " to " + clock(latest), m.IssuedAt.String()}
	case m.ExpirationTime != nil && !now.Before(m.ExpirationTime.Instant()):
		return &PolicyError{"expired",
			"an expiration time after " + clock(now), m.ExpirationTime.String()}
	case m.NotBefore != nil && (m.NotBefore.Instant().After(latest) || m.neverValid()):
		return &PolicyError{"not-yet-valid",
			"a not-before time until " + clock(latest) + " and before the expiration time",
			m.NotBefore.String()}
	}
	return nil
}

// clock writes a time of the server.
func clock(t time.Time) string { return NewTime(t).String() }

// quoted writes texts that were configured or parsed.
func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = strconv.Quote(text)
	}
	return strings.Join(all, " or ")
}

func decimals(numbers []uint64) string {
	all := make([]string, len(numbers))
	for i, number := range numbers {
		all[i] = strconv.FormatUint(number, 10)
	}
	return strings.Join(all, " or ")
}

// neverValid reports whether the interval of a message with NotBefore is empty.
// The tolerance must not make it one that has a moment.
func (m *Message) neverValid() bool {
	return m.ExpirationTime != nil &&
		!m.NotBefore.Instant().Before(m.ExpirationTime.Instant())
}

// AcceptsDomain reports whether the domain of a message may be this one.
func (p Policy) AcceptsDomain(domain string) bool {
	return slices.Contains(p.Domains, domain) || p.AnyLoopback && IsLoopback(domain)
}

// Origin returns the origin of one of the policy's domains: https and the
// domain, or http if AllowHTTP or AnyLoopback applies to it. It is the URI of
// messages that the service writes itself.
func (p Policy) Origin(domain string) string {
	if p.acceptsHTTP(domain) {
		return "http://" + domain
	}
	return "https://" + domain
}

// domains says which domains are accepted.
func (p Policy) domains() string {
	if p.AnyLoopback {
		return quoted(p.Domains) + " or another domain of this machine"
	}
	return quoted(p.Domains)
}

// acceptsScheme accepts https, and no scheme, which means https as in the
// standard. It accepts http if AllowHTTP or AnyLoopback applies.
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
	if p.AnyLoopback && IsLoopback(domain) {
		return true
	}
	host, _, _ := splitPort(domain)
	return p.AllowHTTP && (host == "localhost" || host == "127.0.0.1" || host == "[::1]")
}
