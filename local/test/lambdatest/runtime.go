package lambdatest

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

type invocation struct {
	id      string
	payload []byte
}

type result struct {
	id, kind string
	payload  []byte
}

// runtimeAPI is the stand-in for the Runtime API of one function.
type runtimeAPI struct {
	t           testing.TB
	name        string
	invocations chan invocation
	results     chan result
	asked       chan time.Time // has the time at which the first event was asked for
	registered  chan struct{}  // closed once the process has registered for SIGTERM
}

func newRuntimeAPI(t testing.TB, name string) *runtimeAPI {
	return &runtimeAPI{
		t: t, name: name, invocations: make(chan invocation), results: make(chan result, 1),
		asked: make(chan time.Time, 1), registered: make(chan struct{}),
	}
}

func (a *runtimeAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", a.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", a.answer)
	register := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", "extension-1")
		close(a.registered)
	}
	mux.HandleFunc("POST /2020-01-01/extension/register", register)
	nextEvent := func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the extension registered for no events, so it gets none
	}
	mux.HandleFunc("GET /2020-01-01/extension/event/next", nextEvent)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.t.Errorf("%s called %s %s", a.name, r.Method, r.URL)
		http.NotFound(w, r)
	})
	return mux
}

func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	select {
	case a.asked <- time.Now():
	default:
	}
	select {
	case <-r.Context().Done():
	case next := <-a.invocations:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", next.id)
		deadline := time.Now().Add(Timeout).UnixMilli()
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(deadline))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn",
			"arn:aws:lambda:eu-central-1:000000000000:function:"+a.name)
		_, _ = w.Write(next.payload)
	}
}

func (a *runtimeAPI) answer(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Errorf("%s: reading its answer: %v", a.name, err)
	}
	a.results <- result{id: r.PathValue("id"), kind: r.PathValue("kind"), payload: payload}
	w.WriteHeader(http.StatusAccepted)
}
