// Package siwe reads, writes and judges Sign-In with Ethereum messages (EIP-4361).
//
// Parse takes the exact bytes that were signed and accepts the grammar of the standard and nothing near it: no other
// line ends, no trimming, no unknown, repeated or reordered lines. Nothing is normalised on the way, so that
// Message.String gives back the very bytes that were parsed. Policy.Check then compares a message with what the
// service is configured for.
//
// The line between the two is who decides: Parse refuses what the bytes alone decide (SyntaxError), Check what
// configuration or the clock decide (PolicyError).
//
// What the package does not do: it verifies no signature, it does not know which nonces were issued, and it gives
// resources and request id no meaning. A message that passes both is worth nothing before its signature has been
// verified over the received bytes and its nonce has been spent.
package siwe

import (
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// MaxLength is the most bytes that a message may have. The standard asks for such a bound and names none.
	MaxLength = 4096
	// MaxResources is the most entries that the list of resources may have.
	MaxResources = 10
	// MaxChainID is the largest chain id that is accepted, 2^53-1: above it a client in JavaScript reads another number
	// than the one that was signed.
	MaxChainID = 1<<53 - 1
	// Version is the only version that there is.
	Version = "1"
)

// The fixed texts of the grammar. All of them are case-sensitive.
const (
	schemeEnd           = "://"
	headerEnd           = " wants you to sign in with your Ethereum account:"
	uriLabel            = "URI: "
	versionLabel        = "Version: "
	chainIDLabel        = "Chain ID: "
	nonceLabel          = "Nonce: "
	issuedAtLabel       = "Issued At: "
	expirationTimeLabel = "Expiration Time: "
	notBeforeLabel      = "Not Before: "
	requestIDLabel      = "Request ID: "
	resourcesLabel      = "Resources:"
	resourceMark        = "- "
)

// Message holds the fields of an EIP-4361 message. Parse fills it; a service that writes its own fills it by hand and
// renders it with String, which checks nothing: domain and statement must have passed ValidDomain and ValidStatement, or
// a line feed in one of them could forge the fields below it.
type Message struct {
	// Scheme is the URI scheme in front of the domain, "" where there is none.
	Scheme string
	// Domain is the RFC 3986 authority that asks for the signature, as received. Never empty.
	Domain string
	// Address is the account that signs. Never zero.
	Address common.Address
	// AddressText is the received spelling of Address. Empty renders the EIP-55 spelling.
	AddressText string
	// Statement is what the person agrees to; nil where there is none. An empty one is not the same as none: it has a
	// line of its own.
	Statement *string
	// URI is what the signature is about, an absolute RFC 3986 URI.
	URI string
	// Version is always Version.
	Version string
	// ChainID is the EIP-155 id of the chain, from 1 to MaxChainID.
	ChainID uint64
	// Nonce is at least eight letters and digits.
	Nonce string
	// IssuedAt is when the message was made.
	IssuedAt Time
	// ExpirationTime is when the message stops to hold; nil means never.
	ExpirationTime *Time
	// NotBefore is when the message begins to hold; nil means always.
	NotBefore *Time
	// RequestID is the client's own reference; nil where there is none, and it may be empty.
	RequestID *string
	// Resources are URIs that belong to the request. Nil means no list; a list without entries is empty and not nil.
	Resources []string
}

// String renders the message as it is signed, without a trailing line feed. For a parsed message that is byte for byte
// what Parse was given.
func (m *Message) String() string {
	var b strings.Builder
	m.writeHead(&b)
	writeLine(&b, uriLabel, m.URI)
	writeLine(&b, versionLabel, m.Version)
	writeLine(&b, chainIDLabel, strconv.FormatUint(m.ChainID, 10))
	writeLine(&b, nonceLabel, m.Nonce)
	b.WriteString(issuedAtLabel + m.IssuedAt.String())
	m.writeOptional(&b)
	return b.String()
}

// writeHead writes everything above the labelled lines.
func (m *Message) writeHead(b *strings.Builder) {
	if m.Scheme != "" {
		b.WriteString(m.Scheme + schemeEnd)
	}
	writeLine(b, m.Domain, headerEnd)
	address := m.AddressText
	if address == "" {
		address = m.Address.Hex()
	}
	writeLine(b, address, "")
	writeLine(b, "", "")
	if m.Statement != nil {
		writeLine(b, *m.Statement, "")
	}
	writeLine(b, "", "")
}

// writeOptional writes the lines that may be missing. Each brings the line feed in front of it, as in the grammar.
func (m *Message) writeOptional(b *strings.Builder) {
	if m.ExpirationTime != nil {
		b.WriteString("\n" + expirationTimeLabel + m.ExpirationTime.String())
	}
	if m.NotBefore != nil {
		b.WriteString("\n" + notBeforeLabel + m.NotBefore.String())
	}
	if m.RequestID != nil {
		b.WriteString("\n" + requestIDLabel + *m.RequestID)
	}
	if m.Resources != nil {
		b.WriteString("\n" + resourcesLabel)
	}
	for _, resource := range m.Resources {
		b.WriteString("\n" + resourceMark + resource)
	}
}

func writeLine(b *strings.Builder, label, value string) {
	b.WriteString(label)
	b.WriteString(value)
	b.WriteByte('\n')
}
