package page_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/page"
	"latchkey/shared/config"
	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

const host = "localhost:3000"

// somebody is another account than the throw-away wallet's.
var somebody = common.HexToAddress("0x00000000219ab540356cBB839Cbe05303d7705Fa")

// A world is a page on a server that makes messages for every account.
type world struct {
	t       *testing.T
	now     time.Time
	handler *page.Handler
	wallet  common.Address
	nonces  int
}

func newWorld(t *testing.T, variables ...string) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	environment := map[string]string{"APP_ENV": "local"}
	for i := 0; i < len(variables); i += 2 {
		environment[variables[i]] = variables[i+1]
	}
	cfg, err := config.Load(config.LocalByDefault(func(name string) string { return environment[name] }))
	if err != nil {
		t.Fatal(err)
	}
	cfg.API.AnyLocalPage = cfg.LocalPages
	w.handler, err = page.New(cfg, func() time.Time { return w.now }, http.HandlerFunc(w.serveAPI))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`data-wallet="(0x[0-9A-Fa-f]{40})"`).FindStringSubmatch(w.open(host))
	if shown == nil {
		t.Fatal("the page does not name its wallet")
	}
	w.wallet = common.HexToAddress(shown[1])
	return w
}

// serveAPI stands in for the API: it makes the message that the query describes, and knows nothing else.
func (w *world) serveAPI(out http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/auth/nonce" {
		out.WriteHeader(http.StatusNotFound)
		fmt.Fprint(out, `{"message":"Not Found"}`)
		return
	}
	w.nonces++
	expires := siwe.NewTime(w.now.Add(5 * time.Minute))
	m := siwe.Message{
		Domain: r.URL.Query().Get("domain"), Address: common.HexToAddress(r.URL.Query().Get("address")),
		URI: "http://" + host, Version: siwe.Version, ChainID: 1, Nonce: fmt.Sprintf("nonce%08d", w.nonces),
		IssuedAt: siwe.NewTime(w.now), ExpirationTime: &expires,
	}
	_ = json.NewEncoder(out).Encode(map[string]string{"message": m.String()})
}

func (w *world) serve(r *http.Request) (int, http.Header, string) {
	w.t.Helper()
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	body, err := io.ReadAll(recorder.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return recorder.Code, recorder.Header(), string(body)
}

// open returns the page at a host.
func (w *world) open(host string) string {
	w.t.Helper()
	r := httptest.NewRequest("GET", "http://"+host+"/", nil)
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	status, _, body := w.serve(r)
	if status != http.StatusOK {
		w.t.Fatalf("the page at %s: %d", host, status)
	}
	return body
}

// offer returns a message that the server makes for a domain and an account.
func (w *world) offer(domain string, account common.Address) string {
	w.t.Helper()
	query := "?domain=" + domain + "&address=" + account.Hex()
	_, _, body := w.serve(httptest.NewRequest("GET", "http://"+host+"/auth/nonce"+query, nil))
	var answer struct{ Message string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Message == "" {
		w.t.Fatalf("the nonce is %q: %v", body, err)
	}
	return answer.Message
}

// sign asks the wallet for a signature, as a browser does for the page, with other headers in pairs; an empty value
// removes one.
func (w *world) sign(message string, headers ...string) (int, map[string]any) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.post(string(body), headers...)
}

func (w *world) post(body string, headers ...string) (int, map[string]any) {
	w.t.Helper()
	r := httptest.NewRequest("POST", "http://"+host+"/throw-away-wallet", strings.NewReader(body))
	sent := []string{"Content-Type", "application/json", "Origin", "http://" + host, "Sec-Fetch-Site", "same-origin"}
	sent = append(sent, headers...)
	for i := 0; i < len(sent); i += 2 {
		r.Header.Set(sent[i], sent[i+1])
		if sent[i+1] == "" {
			r.Header.Del(sent[i])
		}
	}
	status, header, text := w.serve(r)
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		w.t.Fatalf("the wallet answers %q: %v", text, err)
	}
	wanted := "application/problem+json"
	if status == http.StatusOK {
		wanted = "application/json"
	}
	for name, want := range map[string]string{
		"Content-Type": wanted, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Access-Control-Allow-Origin": "",
	} {
		if header.Get(name) != want {
			w.t.Errorf("%d has the %s %q, want %q", status, name, header.Get(name), want)
		}
	}
	return status, answer
}

// refuses fails unless an answer is a problem with this status and code, which says why.
func (w *world) refuses(what string, status int, code, why string) func(int, map[string]any) {
	return func(got int, answer map[string]any) {
		w.t.Helper()
		isProblem := answer["code"] == code && answer["status"] == float64(status) && answer["signature"] == nil
		if got != status || !isProblem || !strings.Contains(fmt.Sprint(answer["detail"]), why) {
			w.t.Errorf("%s: %d %v, want %d %s with the words %q", what, got, answer, status, code, why)
		}
	}
}

func TestThrowAway_signs(t *testing.T) {
	w := newWorld(t)
	message := w.offer(host, w.wallet)
	for _, site := range []string{"same-origin", ""} { // old browsers do not send it
		status, answer := w.sign(message, "Sec-Fetch-Site", site)
		signature, _ := answer["signature"].(string)
		parsed, err := wallet.ParseSignature(signature)
		if status != http.StatusOK || err != nil {
			t.Fatalf("%d %v: %v", status, answer, err)
		}
		if err := wallet.VerifyEOA([]byte(message), parsed, w.wallet); err != nil {
			t.Errorf("the signature is not the wallet's: %v", err)
		}
	}
}

// Only a page of this server's own origin gets a signature.
func TestThrowAway_otherPages(t *testing.T) {
	w := newWorld(t)
	message := w.offer(host, w.wallet)
	for _, headers := range [][]string{
		{"Origin", ""}, {"Origin", "null"}, {"Origin", "http://localhost:5173"}, {"Origin", "https://" + host},
		{"Origin", "http://127.0.0.1:3000"}, {"Origin", "http://" + host + ".example"},
		{"Origin", "http://" + host + ",http://evil.example"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "none"},
	} {
		why := "signs for the page at http://localhost:3000/ alone"
		if headers[0] == "Sec-Fetch-Site" {
			why = "must be same-origin"
		}
		w.refuses(strings.Join(headers, ": "), 403, "origin_not_allowed", why)(w.sign(message, headers...))
	}
}

// Only a message that this server made for the page gets a signature.
func TestThrowAway_otherMessages(t *testing.T) {
	w := newWorld(t)
	made := "this server did not make the message"
	message := w.offer(host, w.wallet)
	for _, c := range []struct{ what, message, why string }{
		{"another domain", w.offer("localhost:5173", w.wallet), "is for localhost:5173, and this page is at " + host},
		{"another account", w.offer(host, somebody), "another account"},
		{"an invented nonce", strings.Replace(message, "nonce0", "nonce9", 1), made},
		{"text", "I owe you all that I have.", "nothing but sign-in messages"},
	} {
		w.refuses(c.what, 403, "message_refused", c.why)(w.sign(c.message))
	}

	second := newWorld(t)
	if second.wallet == w.wallet {
		t.Error("two starts have one wallet")
	}
	second.nonces = 76
	w.refuses("a second server's message", 403, "message_refused", made)(w.sign(second.offer(host, w.wallet)))

	// Every other character makes another message.
	for i := range message {
		changed := []byte(message)
		changed[i] ^= 1
		if status, answer := w.sign(string(changed)); status != 403 || answer["signature"] != nil {
			t.Errorf("with another character at %d: %d %v", i, status, answer)
		}
	}
	for _, changed := range []string{message + "\n", " " + message, message[:len(message)-1]} {
		if status, answer := w.sign(changed); status != 403 {
			t.Errorf("%q: %d %v", changed, status, answer)
		}
	}
	if status, answer := w.sign(message); status != http.StatusOK {
		t.Errorf("and the message itself: %d %v", status, answer)
	}
}

func TestThrowAway_expired(t *testing.T) {
	w := newWorld(t)
	message := w.offer(host, w.wallet)
	w.now = w.now.Add(5*time.Minute - time.Millisecond)
	if status, answer := w.sign(message); status != http.StatusOK {
		t.Errorf("before the end: %d %v", status, answer)
	}
	w.now = w.now.Add(time.Millisecond)
	w.refuses("at the end", 403, "message_refused", "has expired")(w.sign(message))
}

// The newest messages are kept, and those of other accounts take no place.
func TestThrowAway_bounded(t *testing.T) {
	w := newWorld(t)
	first := w.offer(host, w.wallet)
	for range page.MaxOffers {
		w.offer(host, somebody)
	}
	if status, answer := w.sign(first); status != http.StatusOK {
		t.Errorf("after messages of others: %d %v", status, answer)
	}
	for range page.MaxOffers {
		w.offer(host, w.wallet)
	}
	w.refuses("after many of its own", 403, "message_refused", "request a new one")(w.sign(first))
}

func TestThrowAway_malformed(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"message":1}`, `{"message":"a","message":"b"}`, `{"message":"a","x":1}`,
		`{"message":"a"} x`,
	} {
		w.refuses(body, 400, "invalid_request", "the body must be")(w.post(body))
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	w.refuses("a form", 415, "unsupported_media_type", "application/json")(w.post("message=a", form...))
	w.refuses("a long body", 413, "too_large", "16 KiB")(w.post(`{"message":"` + strings.Repeat("a", 16<<10) + `"}`))
	for _, method := range []string{"GET", "PUT", "OPTIONS"} {
		status, _, body := w.serve(httptest.NewRequest(method, "http://"+host+"/throw-away-wallet", nil))
		if status != http.StatusNotFound {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
}

func TestPage_headers(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("HEAD", "http://"+host+"/", nil)
	r.Header.Set("Accept", "text/html")
	status, header, _ := w.serve(r)
	if status != http.StatusOK {
		t.Errorf("HEAD: %d", status)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
			"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Cross-Origin-Opener-Policy": "same-origin-allow-popups", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Vary": "Accept",
		"Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "",
	} {
		if header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, header.Get(name), want)
		}
	}
}

// The page's own files are for itself alone, and everything that it names is there.
func TestPage_files(t *testing.T) {
	w := newWorld(t)
	text := w.open(host)
	named := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(named) < 3 {
		t.Fatalf("the page names %q", named)
	}
	for _, m := range named {
		if m[1] == "/openapi.json" { // of the API, not of the page
			continue
		}
		status, header, _ := w.serve(httptest.NewRequest("GET", "http://"+host+m[1], nil))
		if status != http.StatusOK || header.Get("Access-Control-Allow-Origin") != "" || header.Get("ETag") == "" {
			t.Errorf("%s: %d %v", m[1], status, header)
		}
	}
	for _, path := range []string{
		"/page/", "/page/index.html", "/page/tsconfig.json", "/page/page.go", "/page/nothing.js",
	} {
		status, _, _ := w.serve(httptest.NewRequest("GET", "http://"+host+path, nil))
		if status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	// The policy of the page forbids both.
	if regexp.MustCompile(`<script[^>]*>[^<]|<style| style=| on[a-z]+=`).MatchString(text) {
		t.Error("the page has an inline script or style")
	}
}

// The page says when its own origin may not sign in.
func TestPage_refusedOrigin(t *testing.T) {
	for _, c := range []struct {
		variables []string
		host      string
		says      string // "" means that it may
	}{
		{nil, host, ""},
		{nil, "127.0.0.1:3000", ""},
		{nil, "app.localhost:3000", ""},
		{[]string{"SIWE_DOMAINS", "localhost:5173"}, host, "SIWE_DOMAINS=localhost:5173,localhost:3000 make run"},
		{[]string{"SIWE_DOMAINS", "localhost:5173,localhost:3000"}, host, ""},
		{[]string{"SIWE_DOMAINS", host}, "127.0.0.1:3000", "only pages of SIWE_DOMAINS=localhost:3000 may sign in"},
		{[]string{"SIWE_DOMAINS", host, "ALLOWED_ORIGINS", "http://localhost:5173"}, host, "is not in ALLOWED_ORIGINS"},
		{[]string{"SIWE_DOMAINS", host, "ALLOWED_ORIGINS", "http://localhost:3000"}, host, ""},
	} {
		text := newWorld(t, c.variables...).open(c.host)
		if strings.Contains(text, `id="refused"`) != (c.says != "") || !strings.Contains(text, c.says) {
			t.Errorf("%v at %s: %s", c.variables, c.host, regexp.MustCompile(`(?s)<main>.*?<div`).FindString(text))
		}
	}
	// The Host is escaped in the page.
	if text := newWorld(t, "SIWE_DOMAINS", "localhost:5173").open(`a"><script>b`); strings.Contains(text, "<script>b") {
		t.Error("a Host can write HTML")
	}
}

func FuzzPrefersHTML(f *testing.F) {
	for accept, want := range map[string]bool{
		"text/html": true, "TEXT/HTML": true, "text/html;q=0.5": true, "text/html, */*;q=0.1": true,
		"text/html;level=1": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": true,
		"": false, "*/*": false, "text/*": false, "application/json": false, "text/html;q=0": false,
		"text/html;q=0.5, application/json": false, "text/html;q=0.5, */*": false, "text/html;q=x": false,
		"text/html;q=NaN": false, "text/html;q=9": false, "text/htmlx": false, ",": false,
	} {
		if page.PrefersHTML(accept) != want {
			f.Errorf("%q: %v", accept, !want)
		}
		f.Add(accept)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if page.PrefersHTML(accept) && !strings.Contains(strings.ToLower(accept), "text/html") {
			t.Errorf("%q does not name text/html", accept)
		}
		if page.PrefersHTML(accept) && !page.PrefersHTML(accept+",*/*;q=0.001") {
			t.Errorf("with a range that is preferred less, %q gets no page", accept)
		}
	})
}
