package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
	"latchkey/local/protected-api/orders"
)

// protectedPrefix is where the example of a guarded API is served. As an API of its own
// it has a name of its own, and knows nothing of the prefix.
const protectedPrefix = "/protected"

// protectedAPI serves the template of local/protected-api, which lies below the one
// that is served, behind the authorizer. It is nil where there is none.
func protectedAPI(templatePath string, authorizer lambda.Handler, log *slog.Logger) (http.Handler, error) {
	path := filepath.Join(filepath.Dir(templatePath), "local", "protected-api", "template.yaml")
	template, err := readTemplate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string]lambda.Handler{"OrdersFunction": orders.Handler()}
	g, err := gateway.New(template, all, gateway.Options{Log: log, Authorizer: authorizer})
	if err != nil {
		return nil, fmt.Errorf("%s and local/protected.go differ:\n%w", path, err)
	}
	return g, nil
}

// withProtected sends what lies under the prefix to the example, if there is one.
func withProtected(own, example http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri, ok := strings.CutPrefix(r.RequestURI, protectedPrefix+"/")
		if !ok || example == nil {
			own.ServeHTTP(w, r)
			return
		}
		inner := *r
		inner.RequestURI = "/" + uri // which is what a gateway routes by
		inner.URL = &url.URL{RawQuery: r.URL.RawQuery}
		example.ServeHTTP(w, &inner)
	})
}
