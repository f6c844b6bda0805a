package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
	"latchkey/local/protected-api/echo"
	"latchkey/local/protected-api/orders"
	"latchkey/local/protected-api/sockets"
	"latchkey/shared/events"
	"latchkey/shared/session"
)

// protectedPrefix is the path under which the example of a guarded API is
// served. That API would have a host name of its own, so it does not know the
// prefix.
const protectedPrefix = "/protected"

// protectedAPI is the example of a guarded API: an HTTP API, and a WebSocket at
// the path ws. The queue gets the events by which a WebSocket is closed.
type protectedAPI struct {
	orders  http.Handler
	sockets *gateway.WebSocket
	queue   *queue
}

// newProtectedAPI serves the template of local/protected-api and the WebSocket
// behind the authorizer of the options, to the same pages as the API. The path
// is relative to the folder of the main template. If there is no such template,
// it returns nil and no error.
func newProtectedAPI(templatePath string, opts gateway.Options) (*protectedAPI, error) {
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
	table := sockets.NewLocalTable(time.Now)
	ws := gateway.NewWebSocket(sockets.Handler(table, time.Now, echo.Handler()), opts)
	consumer := sockets.Consumer(table, closer{ws}, time.Now, opts.Log)
	return &protectedAPI{g, ws, newQueue(consumer, opts.Log)}, nil
}

// closer closes the connections of a stand-in for a WebSocket API.
type closer struct{ *gateway.WebSocket }

// Close implements [sockets.Closer].
func (c closer) Close(_ context.Context, id string) error {
	if !c.Delete(id) {
		return sockets.ErrGone
	}
	return nil
}

// ended is the type of the events that close WebSockets.
var ended = events.TypeOf(session.EventEnded)

// hear does what a rule of EventBridge does: it has the queue get the events
// that say that a session has ended.
func (p *protectedAPI) hear(e events.Envelope) {
	if p == nil || e.DetailType != ended {
		return
	}
	body, _ := json.Marshal(e) // always encodes
	p.queue.send(string(body))
}

// close ends all WebSockets.
func (p *protectedAPI) close() {
	if p != nil {
		p.sockets.Close()
		p.queue.close()
	}
}

// withProtected serves requests under the prefix with example, if it is not
// nil, and all others with own.
func withProtected(own http.Handler, example *protectedAPI) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri, ok := strings.CutPrefix(r.RequestURI, protectedPrefix+"/")
		if !ok || example == nil {
			own.ServeHTTP(w, r)
			return
		}
		inner := *r
		inner.RequestURI = "/" + uri // the gateway routes by this
		inner.URL = &url.URL{RawQuery: r.URL.RawQuery}
		if path, _, _ := strings.Cut(uri, "?"); path == "ws" {
			example.sockets.ServeHTTP(w, &inner)
			return
		}
		example.orders.ServeHTTP(w, &inner)
	})
}
