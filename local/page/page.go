// Package page serves what the local server has for browsers: the modules of
// the JavaScript client, and a page at / that tries the server with them. The
// page has a throw-away wallet. Nothing that is deployed has any of this.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/config"
)

//go:embed files
var folder embed.FS

// The browser's wallets open windows of other origins, which must be able to
// answer the page (same-origin-allow-popups).
var headers = map[string]string{
	"Cache-Control": "no-cache",
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';" +
		" connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';" +
		" frame-ancestors 'none'",
	"Content-Type":               "text/html; charset=utf-8",
	"Cross-Origin-Opener-Policy": "same-origin-allow-popups",
	"Referrer-Policy":            "no-referrer",
	"X-Content-Type-Options":     "nosniff",
}

// types has the types of the page's files by extension.
var types = map[string]string{
	".css": "text/css; charset=utf-8", ".js": javaScript, ".svg": "image/svg+xml",
}

// Handler serves the page and its throw-away wallet, and everything else with
// another handler.
type Handler struct {
	cfg    config.Config
	html   *template.Template
	files  map[string]http.Handler
	wallet *ThrowAway
	next   http.Handler
}

// New returns the handler of a server with this configuration. It serves next,
// except for the modules of the client, the page and its wallet. It generates
// the wallet.
func New(cfg config.Config, now func() time.Time, next http.Handler) (*Handler, error) {
	html, err := template.ParseFS(folder, "files/index.html")
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	files, err := clientFiles()
	if err != nil {
		return nil, err
	}
	own, err := pageFiles()
	if err != nil {
		return nil, err
	}
	maps.Copy(files, own)
	wallet, err := NewThrowAway(throwAwayPath, "/", now)
	if err != nil {
		return nil, err
	}
	return &Handler{
		cfg: cfg, html: html, files: files, wallet: wallet, next: wallet.Handler(next),
	}, nil
}

// pageFiles returns the files of the page by path, without its HTML.
func pageFiles() (map[string]http.Handler, error) {
	entries, err := folder.ReadDir("files")
	if err != nil {
		return nil, fmt.Errorf("listing the page's files: %w", err)
	}
	files := map[string]http.Handler{}
	for _, entry := range entries {
		contentType, ok := types[path.Ext(entry.Name())]
		if !ok {
			continue
		}
		body, err := folder.ReadFile("files/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the page's file: %w", err)
		}
		files["/page/"+entry.Name()] = newStaticFile(body, contentType)
	}
	return files, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	file, isFile := h.files[r.URL.Path]
	switch {
	case isFile && isRead:
		file.ServeHTTP(w, r)
		return
	case r.URL.Path == "/":
		w.Header().Add("Vary", "Accept")
		if isRead && prefersHTML(strings.Join(r.Header.Values("Accept"), ",")) {
			h.serve(w, r)
			return
		}
	}
	h.next.ServeHTTP(w, r)
}

// serve answers with the page.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	err := h.html.Execute(&page, map[string]any{
		"Wallet":  h.wallet.address.Hex(),
		"Refused": refusedPage(h.cfg, strings.ToLower(r.Host)),
		// Events are served next to this page; see the local server.
		"Publishes": h.cfg.Events.Sink != "",
	})
	if err != nil {
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	_, _ = w.Write(page.Bytes()) // fails only if the client has gone
}

// refusedPage says why the page at a host of this server may not sign in, and
// what to do. It returns "" if it may.
func refusedPage(cfg config.Config, host string) string {
	if _, local := api.LocalPage("http://" + host); local && cfg.API.AnyLocalPage {
		return ""
	}
	domains := strings.Join(cfg.API.Domains, ",")
	if !slices.Contains(cfg.API.Domains, host) {
		return fmt.Sprintf("This page is at %s, and only pages of SIWE_DOMAINS=%s may sign in."+
			" Open it by such a name, or start the server with SIWE_DOMAINS=%s,%s make run.",
			host, domains, domains, host)
	}
	if origin := "http://" + host; !slices.Contains(cfg.API.AllowedOrigins, origin) {
		return fmt.Sprintf("This page is at %s, which is not in ALLOWED_ORIGINS."+
			" Start the server with it, or without ALLOWED_ORIGINS.", origin)
	}
	return ""
}

// prefersHTML reports whether an Accept header names text/html, and nothing
// that it prefers (RFC 9110, section 12.5.1). Browsers do that when they open a
// page. "*/*", as of curl and fetch, does not name it.
func prefersHTML(accept string) bool {
	html, best := 0.0, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		media, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil || !(0 <= quality && quality <= 1) {
				continue
			}
		}
		best = max(best, quality)
		if media == "text/html" {
			html = max(html, quality)
		}
	}
	return html > 0 && html == best
}
