package boot

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// answer is a response under way. It implements http.ResponseWriter, and knows no trailers.
type answer struct {
	header http.Header
	status int
	body   []byte
}

// newAnswer has room for the headers of most answers: a map that grows is made again.
func newAnswer() *answer { return &answer{header: make(http.Header, 24)} }

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter: the first status stands.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(body []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, body...)
	return len(body), nil
}

var errNoAnswer = errors.New("the handler has answered nothing")

// encode is the response of payload format 2.0, as JSON. The members of most answers are the same, and written as they are:
// no text is copied or looked at twice. Values of one header are joined by commas, those of Set-Cookie have a list of
// their own, and a body that is not UTF-8 goes as base64.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func (a *answer) encode() ([]byte, error) {
	if a.status == 0 {
		return nil, errNoAnswer
	}
	body, binary := string(a.body), !utf8.Valid(a.body)
	if binary {
		body = base64.StdEncoding.EncodeToString(a.body)
	}
	w := writer{out: make([]byte, 0, 1536+len(body)+len(body)/4)}
	w.raw(`{"statusCode":`, strconv.Itoa(a.status), `,"headers":{`)
	for name, values := range a.header {
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
	for _, cookie := range a.header["Set-Cookie"] {
		w.text(cookie)
		w.raw(",")
	}
	w.close("]")
	w.raw(`,"isBase64Encoded":`, strconv.FormatBool(binary), `,"body":`)
	w.text(body)
	w.raw("}")
	return w.out, nil
}

// writer appends JSON.
type writer struct{ out []byte }

// raw appends parts that are JSON.
func (w *writer) raw(parts ...string) {
	for _, part := range parts {
		w.out = append(w.out, part...)
	}
}

// text appends a string. What is not UTF-8 in it becomes U+FFFD, which is all that the error says.
func (w *writer) text(s string) { w.out, _ = jsontext.AppendQuote(w.out, s) }

// close ends a list or an object, whose last member left a comma.
func (w *writer) close(bracket string) {
	if last := len(w.out) - 1; w.out[last] == ',' {
		w.out = w.out[:last]
	}
	w.raw(bracket)
}
