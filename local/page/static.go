package page

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"latchkey/client"
	"latchkey/shared/static"
)

// A staticFile is served as it was compiled in.
type staticFile struct {
	body        []byte
	contentType string
	etag        string
}

func newStaticFile(body []byte, contentType string) staticFile {
	return staticFile{body, contentType, static.Tag(body)}
}

// ServeHTTP implements [http.Handler]. Browsers keep the file, and ask each
// time whether it is still the same.
func (f staticFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

const javaScript = "text/javascript; charset=utf-8"

// clientFiles returns the modules of the client by path, and /latchkey.js,
// which is the one to import.
func clientFiles() (map[string]http.Handler, error) {
	files := map[string]http.Handler{
		"/latchkey.js": forEveryPage(newStaticFile(
			[]byte("export * from './client/latchkey.js'\n"), javaScript)),
	}
	modules := client.Modules()
	names, err := fs.Glob(modules, "*.js")
	if err != nil {
		return nil, fmt.Errorf("listing the client's modules: %w", err)
	}
	for _, name := range names {
		body, err := fs.ReadFile(modules, name)
		if err != nil {
			return nil, fmt.Errorf("reading the client's module: %w", err)
		}
		files["/client/"+name] = forEveryPage(newStaticFile(body, javaScript))
	}
	return files, nil
}

// forEveryPage lets pages of every origin import a file. It holds no secret.
func forEveryPage(file http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		file.ServeHTTP(w, r)
	})
}
