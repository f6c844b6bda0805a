// Package static answers events of an API Gateway HTTP API with files that were
// compiled in. It needs no configuration, no key and no Redis, and depends on
// no package that does: a function that serves files starts at once and stays
// small.
package static

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"strings"

	"latchkey/shared/secureheaders"
)

// The statuses that a file is answered with.
const (
	StatusOK          = 200
	StatusNotModified = 304
)

// File is content that does not change while a process runs.
type File struct {
	// ContentType is the media type, with its charset if it is text.
	ContentType string
	// Body is the content. It must be UTF-8, because an event's answer is JSON.
	Body string
	// Tag is the strong entity tag, with its quotes.
	Tag string
}

// NewFile returns the content with its entity tag.
func NewFile(contentType, body string) File {
	return File{contentType, body, Tag([]byte(body))}
}

// Tag returns the strong entity tag of content.
func Tag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

var errNotHTTP = errors.New("the event is not one of an API Gateway HTTP API, payload format 2.0")

// Request has what is read of an event.
type Request struct {
	// Headers has the headers of the request, with names as they were sent.
	Headers map[string]string `json:"headers"`
	// Parameters has the parameters of the route's path by name, decoded.
	Parameters map[string]string `json:"pathParameters"`
	Context    struct {
		RequestID string `json:"requestId"`
		HTTP      struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// ParseRequest reads an event. It returns an error for an event that is not one
// of an HTTP API.
func ParseRequest(payload []byte) (Request, error) {
	var r Request
	if err := json.Unmarshal(payload, &r); err != nil || r.Context.HTTP.Method == "" {
		return Request{}, errNotHTTP
	}
	return r, nil
}

// response is a response of payload format 2.0.
type response struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Serve returns the response with a file, or with 304 if If-None-Match has its
// entity tag. headers are set after those that every answer has.
func (r Request) Serve(f File, headers map[string]string) ([]byte, error) {
	own := map[string]string{"ETag": f.Tag}
	own["Cache-Control"] = "no-cache" // a copy must be checked before it is used
	maps.Copy(own, headers)
	if r.has(f.Tag) {
		return r.respond(response{Status: StatusNotModified, Headers: own})
	}
	return r.Answer(StatusOK, f.ContentType, f.Body, own)
}

// Answer returns a response with a body, or without it if the request is HEAD.
// headers are set after those that every answer has.
func (r Request) Answer(
	status int, contentType, body string, headers map[string]string,
) ([]byte, error) {
	own := map[string]string{"Content-Type": contentType, "Cache-Control": "no-store"}
	maps.Copy(own, headers)
	if r.Context.HTTP.Method == "HEAD" {
		body = ""
	}
	return r.respond(response{status, own, body})
}

// Problem returns a response that says what went wrong, in the form of the
// API's errors (RFC 9457). title is the phrase of the status.
func (r Request) Problem(
	status int, title, code, detail string, headers map[string]string,
) ([]byte, error) {
	r.Context.RequestID = r.id()
	body, err := json.Marshal(map[string]any{
		"type": "about:blank", "title": title, "status": status,
		"code": code, "detail": detail, "requestId": r.Context.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return r.Answer(status, "application/problem+json", string(body), headers)
}

// id returns that of API Gateway, or a random one.
func (r Request) id() string { return cmp.Or(r.Context.RequestID, rand.Text()) }

// respond adds the headers that every answer has.
func (r Request) respond(answer response) ([]byte, error) {
	all := maps.Clone(secureheaders.Values)
	all["X-Request-Id"] = r.id()
	maps.Copy(all, answer.Headers)
	answer.Headers = all
	return json.Marshal(answer)
}

// has reports whether the client already has a file, by If-None-Match (RFC
// 9110, section 13.1.2). Our tags have no comma, so the list may be split at
// every one. A weak tag matches too.
func (r Request) has(tag string) bool {
	for name, value := range r.Headers {
		if !strings.EqualFold(name, "If-None-Match") {
			continue
		}
		for candidate := range strings.SplitSeq(value, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}
