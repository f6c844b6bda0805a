// Package docs holds the description of the API for programs. The other files
// of the folder are for people.
package docs

import _ "embed"

// OpenAPI is the description of every route, in OpenAPI 3.1, as JSON.
//
//go:embed openapi.json
var OpenAPI []byte
