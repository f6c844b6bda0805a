package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"latchkey/shared/lazyregexp"
)

// localDomain is the default domain of the local server. PORT stands for its
// port.
const localDomain = "localhost:PORT"

func setDomains(c *Config, value string) error {
	if value == localDomain {
		if c.Port == 0 {
			return nil // refused, and reported, as PORT
		}
		value, c.LocalPages = localHost(c.Port), true
	}
	if value == "" {
		return errors.New("is needed; set it to the domain of the page that asks for the" +
			" signature, such as app.example.com")
	}
	for _, item := range list(value) {
		if problem := domainProblem(item, c.Local); problem != "" {
			return quote(item, problem)
		}
		if slices.Contains(c.API.Domains, item) {
			return quote(item, "is listed twice; remove one")
		}
		c.API.Domains = append(c.API.Domains, item)
	}
	return nil
}

// localHost is the local server's host and port as a browser writes them,
// without the port that http implies.
func localHost(port int) string {
	if port == 80 {
		return "localhost"
	}
	return "localhost:" + strconv.Itoa(port)
}

func setOrigins(c *Config, value string) error {
	for _, item := range list(value) {
		if problem := originProblem(item, c.Local); problem != "" {
			return quote(item, problem)
		}
		if slices.Contains(c.API.AllowedOrigins, item) {
			return quote(item, "is listed twice; remove one")
		}
		c.API.AllowedOrigins = append(c.API.AllowedOrigins, item)
	}
	return nil
}

func setConsole(c *Config, value string) error {
	if value == localDomain {
		if c.Port == 0 {
			return nil // refused, and reported, as PORT
		}
		value = localHost(c.Port)
	}
	if value == "" {
		return nil
	}
	if problem := domainProblem(value, c.Local); problem != "" {
		return quote(value, problem)
	}
	c.Console = value
	return nil
}

var corsHeader = lazyregexp.New(`^[A-Za-z0-9-]{1,64}$`)

func setCORSHeaders(c *Config, value string) error {
	for _, item := range list(value) {
		if !corsHeader().MatchString(item) {
			return unknown(item, "names of headers, such as baggage,sentry-trace")
		}
		c.CORSHeaders = append(c.CORSHeaders, item)
	}
	return nil
}

// originsOf returns the origins of pages on those domains. Locally that
// includes http.
func originsOf(domains []string, local bool) []string {
	var origins []string
	for _, domain := range domains {
		if local {
			origins = append(origins, "http://"+domain)
		}
		origins = append(origins, "https://"+domain)
	}
	return origins
}

// domainProblem says what is wrong with a domain of EIP-4361, which is an RFC
// 3986 authority. It is compared byte for byte with the domain that wallets
// sign. The result is empty if nothing is wrong.
func domainProblem(domain string, local bool) string {
	switch {
	case strings.Contains(domain, "://"):
		return "has a scheme; set only the host, such as app.example.com"
	case !local && strings.HasSuffix(domain, ":443"):
		return "has the default port of https, which wallets and browsers leave out; remove :443"
	case local && strings.HasSuffix(domain, ":80"):
		return "has the default port of http, which wallets and browsers leave out; remove :80"
	}
	return hostProblem(domain)
}

// appSchemes are those of pages that are packaged in an app, such as
// capacitor://localhost. API Gateway refuses a CorsConfiguration with one.
var appSchemes = []string{"capacitor", "ionic", "app", "tauri"}

// originProblem says what is wrong with an origin, as browsers send it (RFC
// 6454, section 6.2). The result is empty if nothing is wrong.
func originProblem(origin string, local bool) string {
	scheme, host, found := strings.Cut(origin, "://")
	switch {
	case origin == "*":
		return "would let every site call with its visitors' cookies; list the origins"
	case origin == "null":
		return "is what a sandboxed page of any site sends; list real origins"
	case found && slices.Contains(appSchemes, scheme):
		return "has a scheme that API Gateway's CORS does not accept; have the app call with its" +
			" native HTTP client, which sends no Origin, or serve its pages from https://localhost"
	case !found || scheme != "https" && scheme != "http":
		return "is not an origin; write it as https://app.example.com"
	case scheme == "http" && !local:
		return "uses http, so anybody on the network can change the page; use https"
	case scheme == "https" && strings.HasSuffix(host, ":443"),
		scheme == "http" && strings.HasSuffix(host, ":80"):
		return "has the default port of its scheme, which browsers leave out; remove the port"
	case strings.HasSuffix(host, "/"):
		return "ends in a slash, which browsers do not send; remove it"
	}
	return hostProblem(host)
}

var lowerHost = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// maxHost is the longest name that DNS resolves.
const maxHost = 253

// hostProblem says what is wrong with host or host:port. The result is empty if
// nothing is wrong.
func hostProblem(value string) string {
	host, number, hasPort := strings.Cut(value, ":")
	switch {
	case value == "":
		return "is an empty item; remove the extra comma"
	case strings.Contains(value, "*"):
		return "has a wildcard, which is not supported; list each host"
	case strings.ContainsAny(value, "/?#@"):
		return "has more than host and port; remove credentials, path and query"
	case strings.ToLower(value) != value:
		return "has capital letters, which browsers never send in a host; write it in lower case"
	case len(host) > maxHost || !lowerHost().MatchString(host):
		return "is not a host name; write international names in xn-- form, and no dot at the end"
	}
	if _, err := parsePort(number); hasPort && err != nil {
		return "has a port that is not a number from 1 to 65535"
	}
	return ""
}

// quote puts an item of a list in front of its problem, unless the item may
// hold credentials.
func quote(item, problem string) error {
	if mayBeSecret(item) {
		return fmt.Errorf("one item %s", problem)
	}
	return fmt.Errorf("%q %s", item, problem)
}

// quoteKind does the same as quote, with the kind of the item in front of it.
func quoteKind(kind, item, problem string) error {
	if mayBeSecret(item) {
		return fmt.Errorf("one %s %s", kind, problem)
	}
	return fmt.Errorf("%s %q %s", kind, item, problem)
}

func mayBeSecret(item string) bool { return len(item) > 80 || strings.Contains(item, "@") }
