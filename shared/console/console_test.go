package console_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/client"
	"latchkey/shared/console"
	"latchkey/shared/secureheaders"
)

// answer is a response of payload format 2.0.
type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// requestID is that of every request of these tests.
const requestID = "hyxWz2Mu7H5REDA="

// ask sends a request as API Gateway does. file is the parameter of the path;
// "" asks for the page.
func ask(t *testing.T, h *console.Handler, method, file string, headers map[string]string) answer {
	t.Helper()
	event := map[string]any{
		"version": "2.0", "routeKey": method + " /console", "headers": headers,
		"requestContext": map[string]any{"requestId": requestID, "http": map[string]string{"method": method}},
	}
	if file != "" {
		event["routeKey"], event["pathParameters"] = method+" /console/{file}", map[string]string{"file": file}
	}
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	output, err := h.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// valid is a configuration with which the console can sign in.
var valid = console.Config{
	Origin: "https://api.example.com", Domains: []string{"app.example.com", "api.example.com"},
	AllowedOrigins: []string{"https://app.example.com", "https://api.example.com"},
}

func newConsole() *console.Handler {
	return console.New(valid, slog.New(slog.NewJSONHandler(io.Discard, nil)))
}

// withHeaders returns all headers of an answer of the console.
func withHeaders(own map[string]string) map[string]string {
	all := maps.Clone(secureheaders.Values)
	all["Content-Security-Policy"] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	all["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
	all["X-Request-Id"] = requestID
	maps.Copy(all, own)
	return all
}

func TestHandler(t *testing.T) {
	h := newConsole()
	for name, c := range map[string]struct{ file, contentType string }{
		"page":       {"", "text/html; charset=utf-8"},
		"script":     {"app.js", "text/javascript; charset=utf-8"},
		"style":      {"console.css", "text/css; charset=utf-8"},
		"the client": {"latchkey.js", "text/javascript; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, h, "GET", c.file, nil)
			tag := got.Headers["ETag"]
			if len(tag) != 34 {
				t.Errorf("the entity tag is %s", tag)
			}
			headers := withHeaders(map[string]string{
				"Content-Type": c.contentType, "Cache-Control": "no-cache", "ETag": tag,
			})
			if got.StatusCode != 200 || got.Body == "" || !maps.Equal(got.Headers, headers) {
				t.Errorf("GET: %d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
			got = ask(t, h, "HEAD", c.file, nil)
			if got.StatusCode != 200 || got.Body != "" || !maps.Equal(got.Headers, headers) {
				t.Errorf("HEAD: %d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
			delete(headers, "Content-Type")
			got = ask(t, h, "GET", c.file, map[string]string{"if-none-match": tag})
			if got.StatusCode != 304 || got.Body != "" || !maps.Equal(got.Headers, headers) {
				t.Errorf("If-None-Match: %d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
		})
	}
}

// A copy of an earlier version is answered with the present one.
func TestHandler_staleTag(t *testing.T) {
	h := newConsole()
	page := ask(t, h, "GET", "", nil)
	for file, header := range map[string]string{
		"app.js": page.Headers["ETag"], "": `"0", W/"1"`, "console.css": `W/` + page.Headers["ETag"],
	} {
		got := ask(t, h, "GET", file, map[string]string{"If-None-Match": header})
		if got.StatusCode != 200 || got.Body == "" {
			t.Errorf("%q with %s: %d", file, header, got.StatusCode)
		}
	}
}

// served returns the names of all files below /console/ that are to be served.
func served(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("static")
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d files: %v", len(entries), err)
	}
	var names []string
	for _, e := range entries {
		if path.Ext(e.Name()) != ".html" {
			names = append(names, e.Name())
		}
	}
	return append(names, imported(t, "latchkey.js", map[string]bool{})...)
}

var imports = regexp.MustCompile(`(?m)^(?:import|export) [^;]*?from '\./([^']+)'`)

// imported returns a module of the client and all that it imports.
func imported(t *testing.T, name string, seen map[string]bool) []string {
	t.Helper()
	if seen[name] {
		return nil
	}
	seen[name] = true
	text, err := fs.ReadFile(client.Modules(), name)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{name}
	for _, m := range imports.FindAllStringSubmatch(string(text), -1) {
		found = append(found, imported(t, m[1], seen)...)
	}
	return found
}

// Every file is served with its content, and with a type that a browser takes
// under nosniff. No name stands for two files.
func TestHandler_files(t *testing.T) {
	h, names, tags := newConsole(), served(t), map[string]string{}
	if len(names) < 8 {
		t.Fatalf("only %q", names)
	}
	for _, name := range names {
		text, err := os.ReadFile("static/" + name)
		module, isModule := fs.ReadFile(client.Modules(), name)
		if err == nil && isModule == nil {
			t.Errorf("%s is a module of the client, and a file of the console: rename the file", name)
		}
		if err != nil {
			text = module
		}
		got := ask(t, h, "GET", name, nil)
		if got.StatusCode != 200 || got.Body != string(text) || got.Body == "" {
			t.Errorf("%s: %d, %d bytes; the file has %d", name, got.StatusCode, len(got.Body), len(text))
		}
		want := map[string]string{
			".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
		}[path.Ext(name)]
		if got.Headers["Content-Type"] != want {
			t.Errorf("%s has the type %q", name, got.Headers["Content-Type"])
		}
		if other, taken := tags[got.Headers["ETag"]]; taken {
			t.Errorf("%s and %s have one entity tag", name, other)
		}
		tags[got.Headers["ETag"]] = name
	}
}

// After the page, one round of requests gets everything: it names every module,
// whatever that is imported by.
func TestHandler_pageNamesEveryModule(t *testing.T) {
	page := ask(t, newConsole(), "GET", "", nil).Body
	head, _, _ := strings.Cut(page, "</head>")
	var want, got []string
	for _, name := range served(t) {
		if path.Ext(name) == ".js" {
			want = append(want, name)
		}
	}
	preloaded := regexp.MustCompile(`<link rel="modulepreload" href="/console/([^"]+)">`)
	for _, m := range preloaded.FindAllStringSubmatch(head, -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the page names\n%q, and should name\n%q", got, want)
	}
	if strings.Contains(page, "generated -->") {
		t.Error("the page still has its marker")
	}
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		name, own := strings.CutPrefix(m[1], "/console/")
		if own && ask(t, newConsole(), "GET", name, nil).StatusCode != 200 {
			t.Errorf("the page names %s, which is not served", m[1])
		} else if !own && !strings.HasPrefix(m[1], "data:") && !strings.HasPrefix(m[1], "#") {
			t.Errorf("the page loads %s, which is not of the console", m[1])
		}
	}
	if regexp.MustCompile(`<style|\sstyle=|<script[^>]*>[^<]|\son[a-z]+=`).MatchString(page) {
		t.Error("the page has inline script or style, which its policy refuses")
	}
}

// A deployed console has no more meta elements than its file.
func TestHandler_meta(t *testing.T) {
	const meta = `<meta name="`
	text, err := os.ReadFile("static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	deployed := console.FromEnvironment(func(name string) string {
		return map[string]string{"CONSOLE": "api.example.com", "SIWE_DOMAINS": "api.example.com"}[name]
	}, io.Discard)
	if got := strings.Count(ask(t, deployed, "GET", "", nil).Body, meta); got != strings.Count(string(text), meta) {
		t.Errorf("deployed, the page has %d meta elements", got)
	}
	cfg := valid
	cfg.Meta = map[string]string{"a": `"><script>alert(1)</script>`, "b": "&"}
	page := ask(t, console.New(cfg, slog.New(slog.DiscardHandler)), "GET", "", nil).Body
	want := `  <meta name="a" content="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;">` + "\n" +
		`  <meta name="b" content="&amp;">` + "\n"
	if head, _, _ := strings.Cut(page, "</head>"); !strings.Contains(head, want) {
		t.Errorf("the head is %s", head)
	}
}

func TestHandler_unknownFile(t *testing.T) {
	for _, name := range []string{
		"unknown.js", "index.html", "refused.html", "static", "static/app.js", "../console.go", "..", ".", "app.js/",
		"/app.js", "APP.JS", "app.js%00", "%2e%2e", "..\\app.js", "react.js", "server.js", "package.json", "console.go",
	} {
		got := ask(t, newConsole(), "GET", name, map[string]string{"if-none-match": "*"})
		want := withHeaders(map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"})
		var problem map[string]any
		if err := json.Unmarshal([]byte(got.Body), &problem); err != nil {
			t.Fatalf("%s: %q: %v", name, got.Body, err)
		}
		detail, _ := problem["detail"].(string)
		delete(problem, "detail")
		members := map[string]any{
			"code": "not_found", "status": 404.0, "title": "Not Found", "type": "about:blank", "requestId": requestID,
		}
		if got.StatusCode != 404 || !maps.Equal(got.Headers, want) || !maps.Equal(problem, members) || detail == "" {
			t.Errorf("%s: %d %v %s", name, got.StatusCode, got.Headers, got.Body)
		}
	}
	if got := ask(t, newConsole(), "HEAD", "unknown.js", nil); got.StatusCode != 404 || got.Body != "" {
		t.Errorf("HEAD: %d %q", got.StatusCode, got.Body)
	}
}

// A console that cannot sign in says in one sentence why, and what to set.
func TestHandler_refused(t *testing.T) {
	const host, origin = "api.example.com", "https://api.example.com"
	for name, c := range map[string]struct{ console, domains, origins, says string }{
		"no host": {"", "app.example.com", "",
			"The console does not know its host: set CONSOLE (parameter Console) to the host name of the API, such as api.example.com."},
		"not a domain": {host, "app.example.com", "",
			"The console is at api.example.com, and SIWE_DOMAINS does not have api.example.com: set SIWE_DOMAINS (parameter SiweDomains) to app.example.com,api.example.com."},
		"no domains": {host, "", "",
			"The console is at api.example.com, and SIWE_DOMAINS does not have api.example.com: set SIWE_DOMAINS (parameter SiweDomains) to api.example.com."},
		"part of a domain": {host, "www.api.example.com, api.example.com.evil.example", "",
			"The console is at api.example.com, and SIWE_DOMAINS does not have api.example.com: set SIWE_DOMAINS (parameter SiweDomains) to www.api.example.com,api.example.com.evil.example,api.example.com."},
		"not an origin": {host, "app.example.com," + host, "https://app.example.com",
			"The console is at api.example.com, and ALLOWED_ORIGINS does not have https://api.example.com: set ALLOWED_ORIGINS (parameter Origins) to https://app.example.com,https://api.example.com."},
		"over http": {host, host, "http://api.example.com",
			"The console is at api.example.com, and ALLOWED_ORIGINS does not have https://api.example.com: set ALLOWED_ORIGINS (parameter Origins) to http://api.example.com,https://api.example.com."},
		"a URL": {origin, host, origin,
			"The console is at https://api.example.com, and SIWE_DOMAINS does not have https://api.example.com: set SIWE_DOMAINS (parameter SiweDomains) to api.example.com,https://api.example.com."},
		"valid":               {host, " app.example.com , " + host + " ", " https://app.example.com, " + origin, ""},
		"origins of domains":  {host, host, "", ""},
		"origins of one item": {host, host, origin, ""},
	} {
		t.Run(name, func(t *testing.T) {
			environment := map[string]string{"CONSOLE": c.console, "SIWE_DOMAINS": c.domains, "ALLOWED_ORIGINS": c.origins}
			var log bytes.Buffer
			h := console.FromEnvironment(func(name string) string { return environment[name] }, &log)
			got := ask(t, h, "GET", "", map[string]string{"if-none-match": "*"})
			if c.says == "" {
				if got.StatusCode != 304 || log.Len() > 0 {
					t.Errorf("%d, logged %s", got.StatusCode, &log)
				}
				return
			}
			want := withHeaders(map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store",
			})
			said := strings.Contains(got.Body, `<p role="alert">`+c.says+"</p>")
			if got.StatusCode != 503 || !maps.Equal(got.Headers, want) || !said {
				t.Errorf("%d %v %s", got.StatusCode, got.Headers, got.Body)
			}
			var line struct{ Level, Msg, Problem string }
			err := json.Unmarshal(log.Bytes(), &line)
			if err != nil || line.Level != "ERROR" || line.Msg != "console is misconfigured" || line.Problem != c.says {
				t.Errorf("logged %s: %v", &log, err)
			}
			if got := ask(t, h, "HEAD", "", nil); got.StatusCode != 503 || got.Body != "" {
				t.Errorf("HEAD: %d %q", got.StatusCode, got.Body)
			}
			if got := ask(t, h, "GET", "console.css", nil); got.StatusCode != 200 {
				t.Errorf("the style of the page that says so: %d", got.StatusCode)
			}
		})
	}
}

// What the configuration holds is text in the page, too.
func TestHandler_refusedEscapes(t *testing.T) {
	cfg := console.Config{Origin: "https://<b>", Domains: []string{"<i>"}}
	got := ask(t, console.New(cfg, slog.New(slog.DiscardHandler)), "GET", "", nil).Body
	if strings.Contains(got, "<b>") || strings.Contains(got, "<i>") || !strings.Contains(got, "&lt;i&gt;,&lt;b&gt;") {
		t.Error(got)
	}
}

func TestHandler_wrongEvent(t *testing.T) {
	for _, payload := range []string{``, `null`, `{}`, `[]`, `{"httpMethod":"GET"}`, `{"requestContext":{"http":{"method":7}}}`} {
		if got, err := newConsole().Invoke(t.Context(), []byte(payload)); err == nil {
			t.Errorf("%s is answered %s", payload, got)
		}
	}
}

// Whatever an event holds, the answer is a file of the console, 304, 404, or an
// error.
func FuzzHandler(f *testing.F) {
	h := newConsole()
	f.Add([]byte(`{"headers":{"if-none-match":"*"},"pathParameters":{"file":"app.js"},"requestContext":{"http":{"method":"GET"}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		output, err := h.Invoke(t.Context(), payload)
		if err != nil {
			return
		}
		var got answer
		if err := json.Unmarshal(output, &got); err != nil {
			t.Fatal(err)
		}
		id, framing := got.Headers["X-Request-Id"], got.Headers["X-Frame-Options"]
		if !slices.Contains([]int{200, 304, 404}, got.StatusCode) || id == "" || framing != "DENY" {
			t.Errorf("%d %v", got.StatusCode, got.Headers)
		}
		if (got.Headers["ETag"] == "") != (got.StatusCode == 404) {
			t.Errorf("%d has the entity tag %q", got.StatusCode, got.Headers["ETag"])
		}
	})
}
