package answers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

// Record returns a handler that collects what h answers.
func Record(h http.Handler) http.Handler {
	c := own()
	if c == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Until it is written: a handler may change the request.
		a := Answer{
			Method: r.Method, Path: pathOf(r), Query: r.URL.RawQuery,
			Asked: asked(r.Header), SentType: r.Header.Get("Content-Type"),
		}
		var sent bytes.Buffer
		if r.Body != nil {
			r.Body = tee{io.TeeReader(r.Body, &sent), r.Body}
		}
		into := &recorder{ResponseWriter: w}
		h.ServeHTTP(into, r)
		if into.status == 0 {
			into.WriteHeader(http.StatusOK)
		}
		a.Status, a.Header = into.status, into.header
		a.Body, a.Sent = into.body.String(), sent.String()
		c.add(a)
	})
}

// pathOf returns the path as it was sent.
func pathOf(r *http.Request) string {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(path, "/") {
		return path
	}
	return r.URL.EscapedPath()
}

// asked returns those of a request's headers that are collected.
func asked(header http.Header) http.Header {
	found := http.Header{}
	for _, name := range RequestHeaders {
		if values := header.Values(name); len(values) > 0 {
			found[name] = slices.Clone(values)
		}
	}
	return found
}

// tee is the body of a request that is copied as it is read.
type tee struct {
	io.Reader
	io.Closer
}

// recorder copies what is written.
type recorder struct {
	http.ResponseWriter
	status int
	header http.Header // as it was when it was sent
	body   bytes.Buffer
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status, r.header = status, r.Header().Clone()
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Handler returns a function that collects what f answers to events of an HTTP
// API.
func Handler(f lambda.Handler) lambda.Handler {
	if own() == nil {
		return f
	}
	return recordingHandler{f}
}

type recordingHandler struct{ lambda.Handler }

// Invoke implements [lambda.Handler].
func (h recordingHandler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	out, err := h.Handler.Invoke(ctx, payload)
	if err == nil {
		Event(payload, out)
	}
	return out, err
}

// event has what is needed of an event of an HTTP API, payload format 2.0.
type event struct {
	RouteKey string            `json:"routeKey"`
	Query    string            `json:"rawQueryString"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	Encoded  bool              `json:"isBase64Encoded"`
}

// response is what a function returns for an event.
type response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Cookies    []string          `json:"cookies"`
	Body       string            `json:"body"`
	Encoded    bool              `json:"isBase64Encoded"`
}

// Event collects what a function answered to an event. Events and answers that
// are not of an HTTP API are ignored, such as those of an authorizer.
func Event(payload, out []byte) {
	c := own()
	var e event
	var r response
	if c == nil || json.Unmarshal(payload, &e) != nil || json.Unmarshal(out, &r) != nil ||
		!strings.Contains(e.RouteKey, " /") || r.StatusCode == 0 {
		return
	}
	// API Gateway chose the function by the route: the path may be malformed.
	method, path, _ := strings.Cut(e.RouteKey, " ")
	sent := http.Header{}
	for name, value := range e.Headers {
		sent.Set(name, value)
	}
	a := Answer{
		Method: method, Path: path, Query: e.Query, Asked: asked(sent), Status: r.StatusCode,
		Header: http.Header{}, Body: decoded(r.Body, r.Encoded),
		Sent: decoded(e.Body, e.Encoded), SentType: sent.Get("Content-Type"),
	}
	for name, value := range r.Headers {
		a.Header.Set(name, value)
	}
	for _, cookie := range r.Cookies {
		a.Header.Add("Set-Cookie", cookie)
	}
	c.add(a)
}

// decoded returns a body as it was before it became a part of an event.
func decoded(body string, isBase64 bool) string {
	if text, err := base64.StdEncoding.DecodeString(body); isBase64 && err == nil {
		return string(text)
	}
	return body
}
