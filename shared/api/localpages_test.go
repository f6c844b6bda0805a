package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
)

// pageAt is a browser on a page of that origin.
func (w *world) pageAt(origin string, changes ...change) *client {
	c := w.browser()
	c.header.Set("Origin", origin)
	for _, change := range changes {
		change(&http.Request{Header: c.header})
	}
	return c
}

// signInAsOffered signs the message that the server offers to this page.
func (c *client) signInAsOffered(a account) answer {
	c.w.t.Helper()
	offer := c.send("GET", "/auth/nonce?chainId=1&transport="+c.transport+"&address="+a.address.Hex(), nil).wants(200, "")
	got := c.login(c.body(a, offer.text("message"))).wants(200, "")
	c.take(got)
	return got
}

// localWorld is the local server's edge: any page on this machine may sign in. The API is called at that host.
func localWorld(t *testing.T, host string) *world {
	w := newWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.Local, w.cfg.AnyLocalPage = true, true
		w.cfg.Domains, w.cfg.AllowedOrigins = []string{"localhost:3000"}, []string{"http://localhost:3000"}
	})
	w.call = func(info *api.RequestInfo) { info.Host = host }
	return w
}

var localPages = map[string]string{ // by the host of the API that has cookies with them
	"http://localhost:5173": "localhost:3000", "http://localhost": "localhost:3000", "http://127.0.0.1:8080": "127.0.0.1:3000", "http://[::1]:5173": "[::1]:3000",
	"http://app.localhost:5173": "app.localhost:3000", "https://localhost:8443": "localhost:3000", "http://a.x.localhost:1": "b.x.localhost:3000",
}

func TestLocalPages_signIn(t *testing.T) {
	for page, host := range localPages {
		w := localWorld(t, host)
		c, alice := w.pageAt(page), newAccount(t)
		if strings.HasPrefix(page, "https:") {
			c.header.Set("X-Forwarded-Proto", "https")
		}
		offer := c.send("GET", "/auth/nonce?chainId=1&address="+alice.address.Hex(), nil).wants(200, "")
		_, domain, _ := strings.Cut(page, "://")
		if offer.text("domain") != domain || offer.text("uri") != page || !strings.Contains(offer.text("message"), "\nURI: "+page+"\n") {
			t.Errorf("%s is offered %s", page, offer.body)
		}
		c.login(c.body(alice, offer.text("message"))).wants(200, "")
		c.profile().wants(200, "")
		c.send("POST", "/auth/refresh", nil).wants(200, "") // the CSRF rule
		c.send("POST", "/auth/logout", nil).wants(204, "")
	}
}

// Every other page is refused as ever, and so is a message for its domain.
func TestLocalPages_others(t *testing.T) {
	w := localWorld(t, "localhost:3000")
	victim, alice := w.pageAt("http://localhost:5173"), newAccount(t)
	victim.signInAsOffered(alice)
	for _, page := range []string{
		"https://evil.example", "http://localhost.evil.example", "http://evil.example:3000", "http://127.0.0.1.evil.example", "http://127.0.0.2", "null",
		"http://localhost:5173/", "http://localhost:5173@evil.example", "file://localhost", "capacitor://localhost", "http://LOCALHOST", "http://localhost:99999",
	} {
		from := with("Origin", page)
		equal(t, "the domain for "+page, victim.send("GET", "/auth/nonce", nil, from).wants(200, "").text("domain"), "localhost:3000")
		victim.send("GET", "/auth/nonce", nil, from, with("Sec-Fetch-Site", "cross-site")).wants(403, "origin_not_allowed")
		victim.send("POST", "/auth/refresh", nil, from).wants(403, "origin_not_allowed")
		victim.send("POST", "/auth/logout", nil, from).wants(403, "origin_not_allowed")
	}
	c := w.pageAt("http://localhost:5173")
	for domain, uri := range map[string]string{"evil.example": "https://evil.example", "localhost.evil.example": "http://localhost.evil.example"} {
		m := c.message(alice)
		m.Domain, m.URI = domain, uri
		c.login(c.body(alice, m.String())).wants(401, "login_failed")
	}
	victim.profile().wants(200, "")
}

// Without the rule, a page on this machine is one like any other.
func TestLocalPages_off(t *testing.T) {
	for name, change := range map[string]func(*api.Config){
		"SIWE_DOMAINS": func(c *api.Config) { c.Local = true }, "deployed": func(*api.Config) {},
	} {
		w := newWorld(t, redistest.Embedded(t), func(w *world) { change(&w.cfg) })
		for page, host := range localPages {
			w.call = func(info *api.RequestInfo) { info.Host = host }
			c, alice := w.pageAt(page), newAccount(t)
			offer := c.send("GET", "/auth/nonce?chainId=1&address="+alice.address.Hex(), nil).wants(200, "")
			equal(t, name+": the domain for "+page, offer.text("domain"), domain)
			c.login(c.body(alice, offer.text("message"))).wants(403, "origin_not_allowed")
			m := w.script().message(alice)
			_, m.Domain, _ = strings.Cut(page, "://")
			m.URI = page
			w.script().login(w.script().body(alice, m.String())).wants(401, "login_failed")
		}
		served := false
		w.api.OnlyLocalHosts(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://api.example.com/", nil))
		if !served {
			t.Errorf("%s: a Host is refused", name)
		}
	}
}

// A page of another name gets no cookies from the browser, so no login could work: it is told so from the first request on.
func TestLocalPages_apart(t *testing.T) {
	cross := with("Sec-Fetch-Site", "cross-site")
	for _, row := range []struct{ page, host, says string }{
		{"http://127.0.0.1:5173", "localhost:3000", "open the page at http://localhost:5173, or call the API at http://127.0.0.1:3000"},
		{"http://localhost:5173", "127.0.0.1:3000", "open the page at http://127.0.0.1:5173, or call the API at http://localhost:3000"},
		{"http://[::1]:5173", "localhost:3000", "open the page at http://localhost:5173, or call the API at http://[::1]:3000"},
		{"http://app.localhost", "localhost:3000", "open the page at http://localhost, or call the API at http://app.localhost:3000"},
		{"http://a.localhost:1", "b.localhost:3000", "open the page at http://b.localhost:1, or call the API at http://a.localhost:3000"},
		{"https://localhost:5173", "localhost:3000", "open the page at http://localhost:5173"},
	} {
		for _, site := range []change{cross, without("Sec-Fetch-Site")} { // not every browser has Fetch Metadata
			w := localWorld(t, row.host)
			c := w.pageAt(row.page, site)
			says := "the page is at " + row.page + " and the API at http://" + row.host +
				", and both must use the same name and scheme, or browsers keep the cookies back: " + row.says
			for _, got := range []answer{
				c.send("GET", "/auth/nonce", nil).wants(403, "origin_not_allowed"),
				c.login(c.body(newAccount(t), "x")).wants(403, "origin_not_allowed"),
				c.profile().wants(401, "no_credentials"),
				c.send("POST", "/auth/refresh", nil).wants(401, "no_credentials"),
				c.send("POST", "/auth/logout", nil).wants(401, "no_credentials"),
			} {
				if detail := got.text("detail"); !strings.HasSuffix(detail, says) || len(got.cookies()) > 0 {
					t.Errorf("%q, want %q", detail, says)
				}
			}
			for msg, name := range map[string]string{"event": "detail", "request": "problem"} {
				for _, line := range w.lines(msg) {
					if why, _ := line[name].(string); !strings.HasSuffix(why, says) {
						t.Errorf("logged %v", line)
					}
				}
			}
			c.transport = "bearer" // needs no cookies
			c.signInAsOffered(newAccount(t))
			c.profile(bearer(c.access)).wants(200, "")
		}
	}
}

// Behind the proxy of a development server the Host is not the page's, and the browser still counts both as one origin.
func TestLocalPages_proxied(t *testing.T) {
	w := localWorld(t, "127.0.0.1:3000")
	for _, site := range []string{"same-origin", "same-site"} {
		c := w.pageAt("http://localhost:5173", with("Sec-Fetch-Site", site))
		c.signInAsOffered(newAccount(t))
		c.send("POST", "/auth/refresh", nil).wants(200, "")
	}
}

// A request of the page's own origin has no Origin: the host that it asked for names the page.
func TestNonce_sameOrigin(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	const second = "admin.example.com"
	ask := func(host string, changes ...change) answer {
		w.call = func(info *api.RequestInfo) { info.Host = host }
		return w.browser().send("GET", "/auth/nonce", nil, changes...).wants(200, "")
	}
	same := with("Sec-Fetch-Site", "same-origin")
	got := ask(second, without("Origin"), same)
	equal(t, "domain", got.text("domain"), second)
	equal(t, "uri", got.text("uri"), "https://"+second)
	equal(t, "domain without a referrer", ask(second, with("Origin", "null"), same).text("domain"), second)
	for host, changes := range map[string][]change{
		"evil.example": {without("Origin"), same}, "": {without("Origin"), same}, second + ":443": {without("Origin"), same}, "ADMIN.example.com": {without("Origin"), same},
		second: {without("Origin"), without("Sec-Fetch-Site")},
	} {
		equal(t, "domain at "+host, ask(host, changes...).text("domain"), domain)
	}
	equal(t, "domain from elsewhere", ask(second, without("Origin"), with("Sec-Fetch-Site", "same-site")).text("domain"), domain)
	equal(t, "domain with an Origin", ask(second, same).text("domain"), domain)
}

func TestLocalPages_sameOrigin(t *testing.T) {
	for _, host := range []string{"localhost:5173", "127.0.0.1:3000", "app.localhost"} {
		got := localWorld(t, host).browser().send("GET", "/auth/nonce", nil, without("Origin"), with("Sec-Fetch-Site", "same-origin")).wants(200, "")
		equal(t, "uri", got.text("uri"), "http://"+host)
		// A development server may have https, and pass calls on without.
		for referer, scheme := range map[string]string{"https://" + host + "/a?b": "https://", "http://" + host + "/": "http://", "https://" + host + ".evil.example/": "http://"} {
			got := localWorld(t, host).browser().send("GET", "/auth/nonce", nil, without("Origin"), with("Sec-Fetch-Site", "same-origin"), with("Referer", referer))
			equal(t, "uri after "+referer, got.wants(200, "").text("uri"), scheme+host)
		}
	}
}

// DNS rebinding: the Host is that of the page that an attacker's name serves.
func TestOnlyLocalHosts(t *testing.T) {
	w := localWorld(t, "")
	served := 0
	h := w.api.OnlyLocalHosts(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		served++
		w.api.Nonce().ServeHTTP(rw, r)
	}))
	ask := func(host string) answer {
		r := request("GET", "/auth/nonce", "")
		r.Host = host
		return serve(t, h, r)
	}
	for _, host := range []string{"localhost:3000", "LocalHost", "a.localhost:5173", "127.0.0.1:3000", "[::1]:3000"} {
		ask(host)
	}
	if served != 5 {
		t.Errorf("%d of 5 local hosts are served", served)
	}
	for _, host := range []string{"", "evil.example:3000", "localhost.evil.example:3000", "192.168.0.7:3000", "localhost.:3000", "a\x7f\"b"} {
		got := ask(host).wants(421, "misdirected_request")
		names(t, "problem", got.object(), "type", "title", "status", "code", "detail", "requestId")
		equal(t, "requestId", got.at("requestId"), got.header.Get("X-Request-Id"))
		if detail := got.text("detail"); !strings.Contains(detail, "SIWE_DOMAINS") || strings.Contains(detail, "\x7f") {
			t.Errorf("%q is told %q", host, detail)
		}
	}
	if served != 5 {
		t.Error("another host is served")
	}
	lines := w.lines("request")
	if len(lines) != 11 || lines[6]["code"] != "misdirected_request" || !strings.Contains(lines[6]["problem"].(string), `"evil.example:3000"`) {
		t.Errorf("logged %v", lines)
	}
}
