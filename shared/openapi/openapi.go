// Package openapi serves the description of the API behind an API Gateway HTTP
// API. It needs no configuration, no key and no Redis, and depends on no package
// that does: its function starts at once and stays small.
//
// It writes no log. The access log of API Gateway has its requests.
package openapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"strings"

	"latchkey/docs"
	"latchkey/shared/secureheaders"
)

// contentType is that of any JSON. application/openapi+json is not registered
// yet, and tools that import a document by its URL may refuse it.
const contentType = "application/json"

// The statuses that it answers.
const (
	statusOK          = 200
	statusNotModified = 304
)

// tag is the entity tag of the document.
var tag = func() string {
	sum := sha256.Sum256(docs.OpenAPI)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}()

var errNotHTTP = errors.New("the event is not one of an API Gateway HTTP API, payload format 2.0")

// event has the members of an event that are read.
type event struct {
	Headers map[string]string `json:"headers"`
	Context struct {
		RequestID string `json:"requestId"`
		HTTP      struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// response is a response of payload format 2.0.
type response struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Handler answers every event with the document, or with 304 if If-None-Match
// has its entity tag. It implements lambda.Handler.
type Handler struct{}

// Invoke implements lambda.Handler. It takes one event and returns one response,
// both JSON. It returns an error for an event that is not one of an HTTP API.
func (Handler) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil || e.Context.HTTP.Method == "" {
		return nil, errNotHTTP
	}
	r := response{Status: statusOK, Headers: maps.Clone(secureheaders.Values)}
	r.Headers["Cache-Control"] = "no-cache" // a copy must be checked before it is used
	r.Headers["ETag"] = tag
	r.Headers["X-Request-Id"] = cmp.Or(e.Context.RequestID, rand.Text())
	switch {
	case e.has():
		r.Status = statusNotModified
	case e.Context.HTTP.Method == "HEAD":
		r.Headers["Content-Type"] = contentType
	default:
		r.Headers["Content-Type"], r.Body = contentType, string(docs.OpenAPI)
	}
	return json.Marshal(r)
}

// has reports whether the client already has the document, by If-None-Match
// (RFC 9110, section 13.1.2). Our tag has no comma, so the list may be split at
// every one. A weak tag matches too.
func (e event) has() bool {
	for name, value := range e.Headers {
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
