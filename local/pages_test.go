package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
)

// tab is a page in a browser, with its cookies.
type tab struct {
	t    *testing.T
	http *http.Client
	at   string // its origin
	api  string // where it calls
}

// pageFor is a page of that origin that calls a server by that name.
func pageFor(t *testing.T, s *server, origin, name string) *tab {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	// Like a browser's, its names of localhost lead to this machine.
	dial := func(_ context.Context, network, _ string) (net.Conn, error) {
		return net.Dial(network, "127.0.0.1:"+port)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DialContext: dial}}
	t.Cleanup(client.CloseIdleConnections)
	return &tab{t: t, http: client, at: origin, api: "http://" + name + ":" + port}
}

// call sends a request. Headers are pairs, and take the place of the page's own.
func (p *tab) call(method, path, body string, headers ...string) (*http.Response, map[string]any) {
	p.t.Helper()
	r, err := http.NewRequest(method, p.api+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Origin", p.at)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil && err != io.EOF {
		p.t.Fatal(err)
	}
	return response, answer
}

// wants asserts a status.
func (p *tab) wants(status int, method, path, body string, headers ...string) map[string]any {
	p.t.Helper()
	response, answer := p.call(method, path, body, headers...)
	if response.StatusCode != status {
		p.t.Errorf("%s %s from %s: %d %v, want %d", method, path, p.at, response.StatusCode, answer, status)
	}
	return answer
}

// signIn signs the message that the page is offered.
func (p *tab) signIn(w *wallet) {
	p.t.Helper()
	offer, err := json.Marshal(p.wants(200, "GET", "/auth/nonce?chainId=1&address="+w.address, ""))
	if err != nil {
		p.t.Fatal(err)
	}
	p.wants(200, "POST", "/auth/login", w.run(string(offer), "login", "-transport", "cookie"))
}

// Any page on this machine signs in without a variable, is answered by CORS, and gets a nonce for its own domain.
func TestMain_anyLocalPage(t *testing.T) {
	w, s := newWallet(t), start(t)
	if !strings.Contains(s.ready, "any page on localhost") {
		t.Errorf("%q", s.ready)
	}
	for origin, name := range map[string]string{
		"http://localhost:5173": "localhost", "http://127.0.0.1:8080": "127.0.0.1", "http://[::1]:1": "[::1]", "http://app.localhost:5173": "app.localhost",
	} {
		p := pageFor(t, s, origin, name)
		for _, path := range []string{"/auth/login", "/protected/orders"} {
			response, _ := p.call("OPTIONS", path, "", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
			if h := response.Header; response.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("%s preflights %s: %s %v", origin, path, response.Status, h)
			}
		}
		response, nonce := p.call("GET", "/auth/nonce", "")
		if nonce["uri"] != origin || "http://"+fmt.Sprint(nonce["domain"]) != origin || response.Header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s is offered %v, and allowed %v", origin, nonce, response.Header)
		}
		p.signIn(w)
		p.wants(200, "GET", "/api/profile", "")
		p.wants(200, "POST", "/auth/refresh", "")
		p.wants(403, "POST", "/auth/refresh", "", "Origin", "https://evil.example")
	}
	if response, _ := pageFor(t, s, "https://evil.example", "localhost").call("GET", "/auth/nonce", ""); response.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a page of another site is allowed")
	}
}

// Only requests for a name of this machine are answered, whatever they ask for: any other may be an attacker's that leads here.
func TestMain_onlyLocalHosts(t *testing.T) {
	s := start(t)
	p := pageFor(t, s, "http://localhost:5173", "localhost")
	for _, path := range []string{"/health", "/auth/nonce", "/protected/orders", "/no/such/route"} {
		answer := p.wants(421, "GET", path, "", "Host", "rebound.example:3000")
		if answer["code"] != "misdirected_request" || !strings.Contains(fmt.Sprint(answer["detail"]), `"rebound.example:3000"`) || answer["requestId"] == nil {
			t.Errorf("%s: %v", path, answer)
		}
	}
	p.wants(421, "OPTIONS", "/auth/login", "", "Host", "rebound.example", "Access-Control-Request-Method", "POST")
	p.wants(200, "GET", "/health", "", "Host", "localhost:8080") // a forwarded port
}

// With SIWE_DOMAINS, or a Redis elsewhere, pages are those that are named, and every Host is answered as ever.
func TestMain_namedPages(t *testing.T) {
	r := redistest.Server(t)
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := []string{"REDIS_HOST=0.0.0.0", "REDIS_PORT=" + port, "REDIS_KEY_PREFIX=" + r.Prefix, "REDIS_USERNAME=" + r.Username, "REDIS_PASSWORD=" + r.Password}
	for name, variables := range map[string][]string{"SIWE_DOMAINS": {"SIWE_DOMAINS=app.example.com"}, "a Redis elsewhere": elsewhere} {
		s := start(t, variables...)
		p := pageFor(t, s, "http://localhost:5173", "localhost")
		response, nonce := p.call("GET", "/auth/nonce", "")
		if nonce["domain"] == "localhost:5173" || response.Header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(s.ready, "any page") {
			t.Errorf("with %s, a page on this machine is offered %v, and the line is %q", name, nonce, s.ready)
		}
		p.wants(403, "POST", "/auth/login", `{"message":"","signature":""}`)
		p.wants(200, "GET", "/health", "", "Host", "other.example")
	}
}

// Page and API by two names are told so, in the answer and in the log.
func TestMain_twoNames(t *testing.T) {
	s := start(t)
	answer := pageFor(t, s, "http://127.0.0.1:5173", "localhost").wants(403, "GET", "/auth/nonce", "", "Sec-Fetch-Site", "cross-site")
	detail := fmt.Sprint(answer["detail"])
	if !strings.Contains(detail, "both must use the same name and scheme, or browsers keep the cookies back: open the page at http://localhost:5173,") {
		t.Errorf("told %q", detail)
	}
	if _, err := s.stop(t, os.Interrupt); err != nil || !strings.Contains(s.errs.String(), detail) {
		t.Errorf("%v, logged %s", err, &s.errs)
	}
}

// Two servers on one host do not overwrite each other's cookies, which browsers share between ports.
func TestMain_cookiesOfTwoServers(t *testing.T) {
	w, one, two := newWallet(t), start(t), start(t, "SIWE_DOMAINS=localhost:5173")
	p, q := pageFor(t, one, "http://localhost:5173", "localhost"), pageFor(t, two, "http://localhost:5173", "localhost")
	q.http.Jar = p.http.Jar
	p.signIn(w)
	q.signIn(w)
	p.wants(200, "GET", "/api/profile", "")
	q.wants(200, "GET", "/api/profile", "")
	p.wants(204, "POST", "/auth/logout", "")
	q.wants(200, "GET", "/api/profile", "")
}

// An end-to-end suite may sign in as often as it likes, unless a limit is set.
func TestMain_manyLogins(t *testing.T) {
	s := start(t)
	p := pageFor(t, s, "http://localhost:5173", "localhost")
	for range 70 {
		p.wants(200, "GET", "/auth/nonce", "")
	}
	limited := pageFor(t, start(t, "RATE_LIMIT_NONCE_PER_MINUTE=1"), "http://localhost:5173", "localhost")
	limited.wants(200, "GET", "/auth/nonce", "")
	limited.wants(429, "GET", "/auth/nonce", "")
}

func TestMain_corsHeaders(t *testing.T) {
	s := start(t, "CORS_ALLOW_HEADERS=baggage,sentry-trace")
	p := pageFor(t, s, "http://localhost:5173", "localhost")
	for path, own := range map[string]string{"/auth/login": "x-device-id,", "/protected/orders": "x-device-id,"} {
		response, _ := p.call("OPTIONS", path, "", "Access-Control-Request-Method", "POST")
		if got := response.Header.Get("Access-Control-Allow-Headers"); !strings.HasSuffix(got, own+"baggage,sentry-trace") {
			t.Errorf("%s allows the headers %s", path, got)
		}
	}
}

// The guarded example answers pages: a denial too, which no function wrote, and each of its routes.
func TestMain_protectedPages(t *testing.T) {
	w, s := newWallet(t), start(t)
	p := pageFor(t, s, "http://localhost:5173", "localhost")
	token := "Bearer " + w.login(s, "?transport=bearer")
	for path, status := range map[string]int{"/protected/orders": 200, "/protected/orders/1": 200, "/protected/orders/7": 404} {
		for authorization, want := range map[string]int{"": 401, "Bearer lka_forged": 403, token: status} {
			response, answer := p.call("GET", path, "", "Authorization", authorization)
			if response.StatusCode != want || response.Header.Get("Access-Control-Allow-Origin") != p.at {
				t.Errorf("%s with %.12q: %s %v, allowed to %q", path, authorization, response.Status, answer, response.Header.Get("Access-Control-Allow-Origin"))
			}
		}
	}
}
