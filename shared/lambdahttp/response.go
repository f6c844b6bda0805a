package lambdahttp

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// responseWriter collects a response. It implements [http.ResponseWriter],
// without trailers.
type responseWriter struct {
	header http.Header
	status int
	body   []byte
}

// newResponseWriter makes room for the headers of most responses: a map that
// grows is copied.
func newResponseWriter() *responseWriter {
	return &responseWriter{header: make(http.Header, 24)}
}

// Header implements [http.ResponseWriter].
func (r *responseWriter) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter]. The first status counts.
func (r *responseWriter) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements [http.ResponseWriter].
func (r *responseWriter) Write(body []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, body...)
	return len(body), nil
}

var errNoResponse = errors.New("the handler wrote no response")

// encode returns the response of payload format 2.0, as JSON. Values of one
// header are joined by commas, those of Set-Cookie have a list of their own,
// and a body that is not UTF-8 is sent as base64. It returns an error if the
// handler wrote nothing.
//
// Responses are nearly all alike, so their JSON is written directly: no text is
// copied or scanned twice.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func (r *responseWriter) encode() ([]byte, error) {
	if r.status == 0 {
		return nil, errNoResponse
	}
	body, binary := string(r.body), !utf8.Valid(r.body)
	if binary {
		body = base64.StdEncoding.EncodeToString(r.body)
	}
	w := jsonWriter{out: make([]byte, 0, 1536+len(body)+len(body)/4)}
	w.raw(`{"statusCode":`, strconv.Itoa(r.status), `,"headers":{`)
	for name, values := range r.header {
		if name == "Set-Cookie" {
			continue
		}
		w.text(name)
		w.raw(":")
		w.text(strings.Join(values, ","))
		w.raw(",")
	}
	w.close("}")
	w.raw(`,"cookies":[`)
	for _, cookie := range r.header["Set-Cookie"] {
		w.text(cookie)
		w.raw(",")
	}
	w.close("]")
	w.raw(`,"isBase64Encoded":`, strconv.FormatBool(binary), `,"body":`)
	w.text(body)
	w.raw("}")
	return w.out, nil
}

// jsonWriter appends JSON.
type jsonWriter struct{ out []byte }

// raw appends parts that are JSON.
func (w *jsonWriter) raw(parts ...string) {
	for _, part := range parts {
		w.out = append(w.out, part...)
	}
}

// text appends a string. Bytes that are not UTF-8 become U+FFFD. The error says
// only that there were some.
func (w *jsonWriter) text(s string) { w.out, _ = jsontext.AppendQuote(w.out, s) }

// close ends a list or an object, whose last member left a comma behind.
func (w *jsonWriter) close(bracket string) {
	if last := len(w.out) - 1; w.out[last] == ',' {
		w.out = w.out[:last]
	}
	w.raw(bracket)
}
