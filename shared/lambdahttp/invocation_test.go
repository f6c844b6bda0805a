package lambdahttp_test

import (
	"net/netip"
	"testing"

	"latchkey/shared/lambdahttp"
)

// Behind a custom domain with mutual TLS an HTTP API sends the port of the
// client with its address. A client has one address, whatever its port and
// whichever way the address is written.
func TestSourceIP(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.15.242":                 "10.1.15.242",
		"10.1.15.242:39870":           "10.1.15.242",
		"10.1.15.242:0":               "10.1.15.242",
		"::ffff:10.1.15.242":          "10.1.15.242",
		"[::ffff:10.1.15.242]:443":    "10.1.15.242",
		"::FFFF:0a01:0ff2":            "10.1.15.242",
		"[::ffff:0a01:ff2]:65535":     "10.1.15.242",
		"2001:db8::1":                 "2001:db8::1",
		"2001:DB8:0:0::1":             "2001:db8::1",
		"[2001:db8::1]:443":           "2001:db8::1",
		"fe80::1%eth0":                "fe80::1",
		"[fe80::1%eth0]:443":          "fe80::1",
		"[::ffff:10.1.15.242%x]:443":  "10.1.15.242",
		"2001:db8::1:443":             "2001:db8::1:443", // an address without a port
		"0:0:0:0:0:ffff:10.1.15.242":  "10.1.15.242",
		"0:0:0:0:0:FFFF:0a01:0ff2%lo": "10.1.15.242",
	} {
		if ip, err := lambdahttp.SourceIP(text); err != nil || ip != netip.MustParseAddr(want) {
			t.Errorf("%q became %v, %v, want %s", text, ip, err, want)
		}
	}
	for _, text := range []string{
		"", "test-invoke-source-ip", "10.1.15.242:", "10.1.15.242:65536", "10.1.15.242:-1", "10.1.15.242:http", "10.1.15.242:1:2",
		":443", "[2001:db8::1]", "[2001:db8::1]:", "2001:db8::1]:443", "[10.1.15.242]:443", "10.1.15.242, 10.1.15.243", " 10.1.15.242",
		"10.1.15", "10.1.15.256", "010.1.15.242", "localhost:443", "10.1.15.242:443\n",
	} {
		if ip, err := lambdahttp.SourceIP(text); err == nil || ip.IsValid() {
			t.Errorf("%q became %v", text, ip)
		}
	}
}
