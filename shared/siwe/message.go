// Package siwe reads, writes and checks Sign-In with Ethereum messages
// (EIP-4361).
//
// [Parse] takes the exact bytes that were signed. It accepts the grammar of the
// standard and nothing close to it: no other line ends, no trimming, no
// unknown, repeated or reordered lines. It normalises nothing, so
// [Message.String] returns exactly the bytes that were parsed. [Policy.Check]
// then compares a message with what the service is configured for.
//
// Parse refuses what the bytes alone decide ([SyntaxError]). Check refuses what
// the configuration or the clock decides ([PolicyError]).
//
// The package does not verify signatures, does not know which nonces were
// issued, and gives resources and request id no meaning. It reads a ReCap
// (ERC-5573) only to compare it with its sentence in the statement. A message
// that passes both is worth nothing until its signature has been verified over
// the received bytes and its nonce has been spent.
package siwe

import (
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// MaxLength is the maximum length of a message, in bytes. The standard asks
	// for a bound but does not give one.
	MaxLength = 4096
	// MaxResources is the maximum number of resources.
	MaxResources = 10
	// MaxChainID is the largest accepted chain id, 2^53-1. A JavaScript client
	// would read a larger one as another number than the one that was signed.
	MaxChainID = 1<<53 - 1
	// Version is the only version of the standard.
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

// Message holds the fields of an EIP-4361 message. [Parse] fills it. A service
// that writes its own message fills it by hand and renders it with
// [Message.String], which checks nothing. Domain must then be a host and an
// optional port, and the statement must have passed [ValidStatement]: a line
// feed in one of them could forge the fields below it.
type Message struct {
	// Scheme is the URI scheme in front of the domain, "" if absent.
	Scheme string
	// Domain is the RFC 3986 authority that asks for the signature, as
	// received. Never empty.
	Domain string
	// Address is the account that signs. Never zero.
	Address common.Address
	// AddressText is the received spelling of Address. Empty renders the EIP-55
	// spelling.
	AddressText string
	// Statement is what the person agrees to; nil if absent. An empty
	// statement is different from none: it has a line of its own.
	Statement *string
	// URI is what the signature is about, an absolute RFC 3986 URI.
	URI string
	// Version is always Version.
	Version string
	// ChainID is the EIP-155 id of the chain, from 1 to MaxChainID.
	ChainID uint64
	// Nonce is at least eight letters and digits.
	Nonce string
	// IssuedAt is when the message was created.
	IssuedAt Time
	// ExpirationTime is when the message expires; nil means never.
	ExpirationTime *Time
	// NotBefore is when the message becomes valid; nil means always.
	NotBefore *Time
	// RequestID is the client's own reference; nil if absent. It may be
	// empty.
	RequestID *string
	// Resources are URIs that belong to the request. Nil means no list. A list
	// without entries is empty and not nil.
	Resources []string
}

// String renders the message as it is signed, without a trailing line feed. For
// a parsed message it returns exactly what [Parse] was given.
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

// writeOptional writes the optional lines. As in the grammar, each begins with
// a line feed.
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
