// Package console serves the admin console behind an API Gateway HTTP API: a
// page at /console, and its files below. The page is a client of the API like
// any other, made of the JavaScript client.
//
// The package needs no key and no Redis, and depends on no package that does.
package console

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"latchkey/shared/static"
)

// Config says where the console is, and which pages may use the API.
type Config struct {
	// Origin is the origin of the API, and so of the console, such as
	// https://api.example.com. Its host must be one of Domains.
	Origin string
	// Domains has the domains whose pages may ask for a signature.
	Domains []string
	// AllowedOrigins has the origins of pages that may call the API. If it is
	// empty, they are the https origins of Domains.
	AllowedOrigins []string
	// Meta has further meta elements of the page, by name. A deployment has none.
	Meta map[string]string
}

// FromEnvironment returns the handler of a function, which finds its
// configuration in CONSOLE, SIWE_DOMAINS and ALLOWED_ORIGINS. It logs to w.
func FromEnvironment(getenv func(string) string, w io.Writer) *Handler {
	cfg := Config{
		Domains:        list(getenv("SIWE_DOMAINS")),
		AllowedOrigins: list(getenv("ALLOWED_ORIGINS")),
	}
	if host := getenv("CONSOLE"); host != "" {
		cfg.Origin = "https://" + host
	}
	return New(cfg, slog.New(slog.NewJSONHandler(w, nil)))
}

// list returns the items of a comma-separated list, as config does.
func list(value string) (items []string) {
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Handler serves the console. It implements lambda.Handler.
type Handler struct {
	files   map[string]static.File
	page    static.File
	problem string // why the page cannot sign in; "" if it can
	log     *slog.Logger
}

// New returns a handler of the console. If the console cannot sign in with this
// configuration, the page is answered with 503 and says why, as does the log.
func New(cfg Config, log *slog.Logger) *Handler {
	h := &Handler{files: files(), problem: cfg.problem(), log: log}
	if h.problem == "" {
		h.page = static.NewFile(typeHTML, page(slices.Sorted(maps.Keys(h.files)), cfg.Meta))
	}
	return h
}

// headers are what the console's answers have instead of those of the API. A
// wallet's window is of another origin, and must be able to answer the page
// (same-origin-allow-popups).
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';" +
		" img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none';" +
		" form-action 'none'",
	"Cross-Origin-Opener-Policy": "same-origin-allow-popups",
}

// Invoke implements lambda.Handler. It takes one event and returns one
// response, both JSON. It returns an error for an event that is not one of an HTTP API.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	request, err := static.ParseRequest(payload)
	if err != nil {
		return nil, err
	}
	name, isFile := request.Parameters["file"]
	if file, ok := h.files[name]; ok && isFile {
		return request.Serve(file, headers)
	}
	switch {
	case isFile:
		const detail = "the console has no such file"
		return request.Problem(404, "Not Found", "not_found", detail, headers)
	case h.problem != "":
		h.log.ErrorContext(ctx, "console is misconfigured", "problem", h.problem)
		return request.Answer(503, typeHTML, refusal(h.problem), headers)
	}
	return request.Serve(h.page, headers)
}
