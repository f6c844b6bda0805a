package console

import (
	"embed"
	"html"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"latchkey/client"
	"latchkey/shared/static"
)

//go:embed static
var folder embed.FS

// modules are latchkey.js of the JavaScript client and all that it imports.
// They are served beside the console's own files, so no file there may have one
// of these names.
var modules = []string{
	"errors.js", "latchkey.js", "requests.js", "resources.js", "sending.js", "session.js",
	"signing.js", "state.js", "tokens.js", "wallets.js",
}

const typeHTML = "text/html; charset=utf-8"

// types has the types of files by extension. All are text.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// files returns what is served below /console/, by name.
func files() map[string]static.File {
	served := map[string]static.File{}
	entries, _ := folder.ReadDir("static") // embedded: it is there
	for _, entry := range entries {
		if contentType, ok := types[path.Ext(entry.Name())]; ok {
			served[entry.Name()] = static.NewFile(contentType, text(folder, "static/"+entry.Name()))
		}
	}
	for _, name := range modules {
		served[name] = static.NewFile(types[".js"], text(client.Modules(), name))
	}
	return served
}

// text returns an embedded file. A test reads every file, so none is missing.
func text(from fs.FS, name string) string {
	body, _ := fs.ReadFile(from, name)
	return string(body)
}

// marker is the line of index.html that the head's generated lines replace.
const marker = "  <!-- generated -->\n"

// page returns the console's page. It loads every module at once, so that it
// needs one round of requests, however deep the imports are.
func page(names []string, meta map[string]string) string {
	var lines strings.Builder
	for _, name := range names {
		if path.Ext(name) == ".js" {
			lines.WriteString(`  <link rel="modulepreload" href="/console/` + name + "\">\n")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(meta)) {
		lines.WriteString(`  <meta name="` + html.EscapeString(name) + `" content="` +
			html.EscapeString(meta[name]) + "\">\n")
	}
	return strings.Replace(text(folder, "static/index.html"), marker, lines.String(), 1)
}

// refusal returns the page that says why there is no console.
func refusal(problem string) string {
	return strings.Replace(text(folder, "static/refused.html"), "<!-- problem -->",
		html.EscapeString(problem), 1)
}
