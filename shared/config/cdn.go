package config

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"

	"latchkey/shared/api"
	"latchkey/shared/lazyregexp"
	"latchkey/shared/seal"
)

// originVerifyValue matches a value that a header carries unchanged. It has no
// comma, because API Gateway joins two headers of one name with a comma.
var originVerifyValue = lazyregexp.New(`^[A-Za-z0-9._~+/=-]+$`)

// The bounds of the shared secret of a CDN. CloudFront sends at most 1,783
// characters in a header.
const (
	maxOriginVerify       = 256
	maxOriginVerifyValues = 8
)

// ParseOriginVerify reads the values of ORIGIN_VERIFY_SECRET. Unless local is
// set, it refuses values that are plainly weak. Its error holds no value.
func ParseOriginVerify(text string, local bool) ([]string, error) {
	values := list(text)
	if n := len(values); n < 1 || n > maxOriginVerifyValues {
		return nil, fmt.Errorf("has %d values; set 1 to %d, separated by commas",
			n, maxOriginVerifyValues)
	}
	for i, value := range values {
		if problem := originVerifyProblem(value, local); problem != "" {
			return nil, fmt.Errorf("value %d %s; %s", i+1, problem, howToMake)
		}
	}
	return values, nil
}

// originVerifyProblem says what is wrong with a value; it is empty if nothing
// is.
func originVerifyProblem(value string, local bool) string {
	switch n := len(value); {
	case n < seal.MinSecret || n > maxOriginVerify:
		return fmt.Sprintf("has %d characters and needs %d to %d",
			n, seal.MinSecret, maxOriginVerify)
	case !originVerifyValue().MatchString(value):
		return "has a character other than A-Z a-z 0-9 . _ ~ + / = -"
	case local:
		return ""
	}
	return Weakness(value)
}

// setOriginVerify stores a refused value too: otherwise CLIENT_ADDRESS_HEADER
// would be a second problem.
func setOriginVerify(c *Config, text string) error {
	if text == "" {
		return nil
	}
	c.OriginVerify = []Secret{Secret(text)}
	values, err := ParseOriginVerify(text, c.Local)
	if err != nil {
		return err
	}
	c.OriginVerify = nil
	for _, value := range values {
		c.OriginVerify = append(c.OriginVerify, Secret(value))
	}
	return nil
}

var headerName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// notAddresses are headers that hold something else, or that API Gateway
// appends to: those have a list of addresses, which the client can begin.
var notAddresses = []string{
	"Authorization", "Cookie", "Forwarded", "Host", "Origin", "User-Agent",
	"X-Device-Id", "X-Forwarded-For", api.OriginVerifyHeader,
}

func setAddressHeader(c *Config, value string) error {
	if value == "" {
		return nil
	}
	if !headerName().MatchString(value) {
		return unknown(value, "the name of a header, such as cloudfront-viewer-address")
	}
	name := textproto.CanonicalMIMEHeaderKey(value)
	if slices.Contains(notAddresses, name) {
		return errors.New("is a header that does not have one address that only the CDN sets;" +
			" set it to another, such as cloudfront-viewer-address")
	}
	c.API.CDN.AddressHeader = name
	return nil
}
