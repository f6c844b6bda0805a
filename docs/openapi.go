// Package docs holds the descriptions of the API and of events for programs.
// The other files of the folder are for people.
package docs

import _ "embed"

// OpenAPI is the description of every route, in OpenAPI 3.1, as JSON.
//
//go:embed openapi.json
var OpenAPI []byte

// EventSchema is the description of every event that is published, as a JSON
// Schema.
//
//go:embed events.schema.json
var EventSchema []byte

// AsyncAPI is the description of how events are published, in AsyncAPI 3.0, as
// JSON.
//
//go:embed asyncapi.json
var AsyncAPI []byte
