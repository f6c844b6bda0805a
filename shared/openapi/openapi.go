// Package openapi serves the description of the API behind an API Gateway HTTP
// API. It needs no configuration, no key and no Redis, and depends on no package
// that does: its function starts at once and stays small.
//
// It writes no log. The access log of API Gateway has its requests.
package openapi

import (
	"context"

	"latchkey/docs"
	"latchkey/shared/static"
)

// document has the type of any JSON. application/openapi+json is not registered
// yet, and tools that import a document by its URL may refuse it.
var document = static.NewFile("application/json", string(docs.OpenAPI))

// Handler answers every event with the document, or with 304 if If-None-Match
// has its entity tag. It implements lambda.Handler.
type Handler struct{}

// Invoke implements lambda.Handler. It takes one event and returns one response,
// both JSON. It returns an error for an event that is not one of an HTTP API.
func (Handler) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	request, err := static.ParseRequest(payload)
	if err != nil {
		return nil, err
	}
	return request.Serve(document, nil)
}
