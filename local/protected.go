package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
	"latchkey/local/protected-api/orders"
)

// protectedPrefix is the path under which the example of a guarded API is
// served. That API would have a host name of its own, so it does not know the
// prefix.
const protectedPrefix = "/protected"

// protectedAPI serves the template of local/protected-api behind the authorizer
// of the options, to the same pages as the API. The path is relative to the
// folder of the main template. If there is no such template, it returns nil and
// no error.
func protectedAPI(templatePath string, opts gateway.Options) (http.Handler, error) {
	path := filepath.Join(filepath.Dir(templatePath), "local", "protected-api", "template.yaml")
	template, err := readTemplate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string]lambda.Handler{"OrdersFunction": orders.Handler()}
	g, err := gateway.New(template, all, opts)
	if err != nil {
		return nil, fmt.Errorf("%s and local/protected.go differ:\n%w", path, err)
	}
	return g, nil
}

// withProtected serves requests under the prefix with example, if it is not
// nil, and all others with own.
func withProtected(own, example http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri, ok := strings.CutPrefix(r.RequestURI, protectedPrefix+"/")
		if !ok || example == nil {
			own.ServeHTTP(w, r)
			return
		}
		inner := *r
		inner.RequestURI = "/" + uri // the gateway routes by this
		inner.URL = &url.URL{RawQuery: r.URL.RawQuery}
		example.ServeHTTP(w, &inner)
	})
}
