package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The header in which a CDN sends the shared secret, and the one of CloudFront
// with the viewer's address and port.
const (
	OriginVerifyHeader  = "X-Origin-Verify"
	viewerAddressHeader = "Cloudfront-Viewer-Address"
)

// CDN says what is known of a CDN in front of the API. The zero value stands for
// no CDN.
type CDN struct {
	// Verify reports whether a value of [OriginVerifyHeader] is the shared
	// secret of the CDN. With it the handlers refuse every other request. Nil
	// accepts all requests.
	Verify func(ctx context.Context, value string) bool `json:"-"`
	// AddressHeader is the canonical name of the header with the client's
	// address. It counts only in requests that Verify accepts. If it is empty,
	// the address is the one that connected to the gateway.
	AddressHeader string
}

// OriginSecret is the shared secret of a CDN, as hashes of its values. The zero
// value has none.
type OriginSecret struct{ hashes [][sha256.Size]byte }

// NewOriginSecret returns the secret with these values. All of them are
// accepted, so that it can be rotated.
func NewOriginSecret(values []string) OriginSecret {
	var s OriginSecret
	for _, value := range values {
		s.hashes = append(s.hashes, sha256.Sum256([]byte(value)))
	}
	return s
}

// Has reports whether value is one of the secret's. How long that takes says
// nothing about the values: hashes of one length are compared, all of them.
func (s OriginSecret) Has(value string) bool {
	sum := sha256.Sum256([]byte(value))
	found := 0
	for _, hash := range s.hashes {
		found |= subtle.ConstantTimeCompare(sum[:], hash[:])
	}
	return found == 1
}

var errNotCDN = fail(codeEdge,
	"the request did not come through the CDN in front of this API: use the API's public address")

// CDNHeaders returns the canonical names of the headers that the decision about
// the client's address needs. Without a CDN it returns nil.
func (a *API) CDNHeaders() []string {
	switch cdn := a.cfg.CDN; {
	case cdn.Verify == nil:
		return nil
	case cdn.AddressHeader == "":
		return []string{OriginVerifyHeader}
	default:
		return []string{OriginVerifyHeader, cdn.AddressHeader}
	}
}

// passCDN decides on the client's address, for everything that uses it. It
// reports whether the request came through the CDN; without a CDN it returns
// true. It removes the shared secret from the request, so that nothing after it
// can log or return the secret.
func (x *exchange) passCDN() bool {
	values, sent := x.r.Header[OriginVerifyHeader]
	if sent {
		x.r.Header = maps.Clone(x.r.Header) // the caller's stays as it is
		delete(x.r.Header, OriginVerifyHeader)
	}
	cdn := x.api.cfg.CDN
	if cdn.Verify == nil {
		return true
	}
	// API Gateway joins values with commas, which no value of the secret has.
	if len(values) != 1 || !cdn.Verify(x.r.Context(), values[0]) {
		return false
	}
	if cdn.AddressHeader != "" {
		x.takeAddress(cdn.AddressHeader)
	}
	return true
}

// takeAddress makes the address of a header the client's. If the header has no
// address, the one that connected to the gateway stays: a request must not fail
// because of what a CDN was not told to send.
func (x *exchange) takeAddress(name string) {
	address, err := clientAddress(name, x.r.Header)
	if err == nil {
		x.info.SourceIP = address
		return
	}
	if x.api.unreadable.pass(x.api.now()) {
		// Not the header's value: a CDN may put anything there.
		x.api.log.Warn("client address not readable",
			"requestId", x.id, "header", name, "error", err.Error())
	}
}

var (
	errNoAddress   = errors.New("the header is not in the request; have the CDN send it")
	errAddresses   = errors.New("the header has several values; have the CDN replace it")
	errAddress     = errors.New("the value is not an IP address alone")
	errAddressPort = errors.New("the value is not an IP address, a colon and a port")
)

// clientAddress returns the address in a header, in the form of
// [NormalAddress]. Values that were joined by a comma are not readable.
func clientAddress(name string, header http.Header) (netip.Addr, error) {
	values := header[name]
	if len(values) == 0 {
		return netip.Addr{}, errNoAddress
	}
	if len(values) > 1 || strings.Contains(values[0], ",") {
		return netip.Addr{}, errAddresses
	}
	text, problem := values[0], errAddress
	if name == viewerAddressHeader {
		text, problem = withoutPort(text), errAddressPort
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, problem
	}
	return NormalAddress(address), nil
}

// withoutPort returns what is before the last colon of a text, if a port is
// after it, and otherwise "". CloudFront sends IPv6 without brackets. Such an
// address may also read as one without a port, so the last colon always
// separates the port.
func withoutPort(text string) string {
	colon := strings.LastIndexByte(text, ':')
	if _, err := strconv.ParseUint(text[colon+1:], 10, 16); err != nil || colon < 0 {
		return ""
	}
	return text[:colon]
}

// NormalAddress returns one form for each address, without an IPv6 zone and with
// an IPv4 address in IPv6 unwrapped. Otherwise a client would have several, and
// a rate limit for each.
func NormalAddress(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// minutely lets something pass once a minute. It is safe for concurrent use.
type minutely struct{ last atomic.Int64 } // Unix milliseconds

func (m *minutely) pass(now time.Time) bool {
	last, at := m.last.Load(), now.UnixMilli()
	since := at - last
	return (since < 0 || since >= time.Minute.Milliseconds()) && m.last.CompareAndSwap(last, at)
}
