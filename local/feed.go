package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"latchkey/shared/api"
	"latchkey/shared/events"
)

// feedPath is where the page at / asks for events. No deployed function serves
// it: events name every account.
const feedPath = "/page/events"

// feedSize is how many events a feed keeps.
const feedSize = 100

// feed is a sink that passes events on to another one. It keeps the latest for
// the page at /, and tells the example of a guarded API of each.
type feed struct {
	sink    events.Sink
	example *protectedAPI

	mu     sync.Mutex
	latest []events.Envelope // oldest first
	last   int               // the number of the last one; the first has 1
}

// attach has an example hear of events from now on. Both may be nil.
func (f *feed) attach(example *protectedAPI) {
	if f != nil {
		f.example = example
	}
}

// Batch implements [events.Sink].
func (f *feed) Batch() int { return f.sink.Batch() }

// Send implements [events.Sink]. If the other sink does not accept an event, it
// is sent again. The feed has it from the first time on, and once.
func (f *feed) Send(ctx context.Context, all []events.Delivery) ([]events.Result, error) {
	for _, d := range all {
		f.add(events.Envelope{
			ID: d.Message.ID, Source: events.Source, DetailType: d.Type,
			Time: d.Message.Time, Detail: d.Message,
		})
	}
	return f.sink.Send(ctx, all)
}

func (f *feed) add(e events.Envelope) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.latest, func(o events.Envelope) bool { return o.ID == e.ID }) {
		return
	}
	f.latest = append(f.latest, e)
	f.latest = f.latest[max(0, len(f.latest)-feedSize):]
	f.last++
	f.example.hear(e)
}

// since returns the events after number n that the feed still has, and the
// number of the last one. If there is no event n, it is one of an earlier run
// of the server.
func (f *feed) since(n int) (found []events.Envelope, last int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < 0 || n > f.last {
		n = 0
	}
	return slices.Clone(f.latest[max(0, len(f.latest)-(f.last-n)):]), f.last
}

// ServeHTTP answers with the events after the number in the query.
//
// The page asks each second. A stream would keep a connection of the browser
// busy in each tab, of which it has six for this server.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	found, last := f.since(after)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	_ = json.NewEncoder(w).Encode(struct {
		Last   int               `json:"last"`
		Events []events.Envelope `json:"events"`
	}{last, append([]events.Envelope{}, found...)}) // fails only if the client has gone
}

// withFeed serves a feed, if it is not nil, and all else with next. It serves
// it by names of this machine alone, also if SIWE_DOMAINS is set: a page of
// another name could lead that name here, and would then be of the same origin.
// Pages of other origins cannot read the feed, since it allows none.
func withFeed(next http.Handler, f *feed) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, local := api.LocalPage("http://" + r.Host)
		if f != nil && local && r.URL.Path == feedPath && r.Method == http.MethodGet {
			f.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
