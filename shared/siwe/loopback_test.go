package siwe_test

import (
	"net/url"
	"strings"
	"testing"

	"latchkey/shared/siwe"
)

func TestIsLoopback(t *testing.T) {
	for _, domain := range []string{
		"localhost", "localhost:3000", "app.localhost", "a.b-c.localhost:65535", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:5173",
	} {
		if !siwe.IsLoopback(domain) {
			t.Errorf("%q is refused", domain)
		}
	}
	for _, domain := range []string{
		"", ":3000", "localhost:", "localhost:0", "localhost:03000", "localhost:65536", "localhost:+80", "localhost:80:80", "localhost.", "LOCALHOST",
		".localhost", "a..localhost", "-a.localhost", "a-.localhost", "a_b.localhost", "*.localhost", "a@localhost", "evil.example@localhost", "localhost/",
		"localhost.evil.example", "notlocalhost", "evil.example", "127.0.0.1.evil.example", "127.0.0.2", "127.1", "0.0.0.0", "2130706433", "10.0.0.1",
		"::1", "[::1", "[::1]x", "[::1]:", "[::2]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::1%25lo]",
		strings.Repeat("a", 64) + ".localhost", strings.Repeat("a.", 123) + "localhost",
	} {
		if siwe.IsLoopback(domain) {
			t.Errorf("%q is accepted", domain)
		}
	}
}

// With AnyLoopback a page on this machine speaks for itself, over http and https, and a page anywhere else as without it.
func TestCheck_anyLoopback(t *testing.T) {
	policy := testPolicy()
	policy.AnyLoopback = true
	message := func(scheme, domain string) string {
		return scheme + "://" + strings.Replace(strings.ReplaceAll(example, "example.com", domain), "https://", scheme+"://", 1)
	}
	for _, scheme := range []string{"http", "https"} {
		for _, domain := range []string{"localhost:5173", "app.localhost:5173", "127.0.0.1:5173", "[::1]:5173"} {
			wantReason(t, policy, message(scheme, domain), "")
			wantReason(t, testPolicy(), message(scheme, domain), "domain")
		}
		wantReason(t, policy, message(scheme, "evil.example"), "domain")
	}
	wantReason(t, policy, message("https", "example.com"), "")
	wantReason(t, policy, message("http", "example.com"), "scheme")
	wantReason(t, policy, swap(t, message("http", "localhost:5173"), "URI: http://localhost:5173", "URI: http://localhost:3000"), "uri")
	if got := policy.Origin("app.localhost:5173"); got != "http://app.localhost:5173" {
		t.Errorf("origin is %s", got)
	}
}

// FuzzIsLoopback holds that what is accepted is, to a browser, a host of this machine and nothing besides.
func FuzzIsLoopback(f *testing.F) {
	for _, domain := range []string{"localhost", "a.localhost:80", "[::1]:3000", "127.0.0.1", "a@localhost", "localhost#.evil", "evil.localhost.", "[::1]evil"} {
		f.Add(domain)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		if !siwe.IsLoopback(domain) {
			return
		}
		u, err := url.Parse("http://" + domain + "/")
		if err != nil || u.Host != domain || u.User != nil || u.Path != "/" || strings.ToLower(domain) != domain {
			t.Fatalf("%q is accepted: %v, %v", domain, u, err)
		}
		switch name := u.Hostname(); {
		case name == "localhost", name == "127.0.0.1", name == "::1", strings.HasSuffix(name, ".localhost"):
		default:
			t.Errorf("%q is accepted", domain)
		}
	})
}
