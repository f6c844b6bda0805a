// Package client holds the JavaScript client @latchkey/client, for servers that
// serve it to pages.
package client

import (
	"embed"
	"io/fs"
)

//go:embed *.js
var modules embed.FS

// Modules returns the client's ES modules, without their types and tests. They
// import each other by relative paths, and latchkey.js is the client itself.
func Modules() fs.FS { return modules }
