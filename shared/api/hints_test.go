package api_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/answers"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
)

// slowHints is a Redis that answers a hint only once the event of the change has been logged, and then takes its time.
type slowHints struct {
	logged         chan struct{}
	returned, sent atomic.Bool
}

func (*slowHints) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *slowHints) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "sadd" {
			return next(ctx, cmd)
		}
		select {
		case <-h.logged:
		case <-ctx.Done(): // the request waits for the hint before it does anything else
			return ctx.Err()
		}
		for range 1000 {
			runtime.Gosched()
		}
		err := next(ctx, cmd)
		h.sent.Store(err == nil && !h.returned.Load())
		return err
	}
}

func (*slowHints) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error { return next(ctx, all) }
}

// Whatever ends a session sends its hint beside its own work, and has sent it when it returns: nothing of a Lambda runs after that.
func TestHints(t *testing.T) {
	r := redistest.Embedded(t)
	for name, end := range map[string]func(w *world, a *api.API, token string){
		"a route": func(_ *world, a *api.API, token string) {
			request := httptest.NewRequest("POST", "/auth/logout", nil)
			request.Header.Set("Authorization", "Bearer "+token)
			info := api.RequestInfo{SourceIP: netip.MustParseAddr(clientIP), Route: "POST /auth/logout"}
			answers.Record(a.Logout()).ServeHTTP(httptest.NewRecorder(), request.WithContext(api.WithRequestInfo(request.Context(), info)))
		},
		"the authorizer": func(_ *world, a *api.API, token string) {
			a.Authorize(context.Background(), api.Guarded{
				Info: api.RequestInfo{SourceIP: netip.MustParseAddr("198.51.100.1")}, Method: "GET",
				Header: http.Header{"Authorization": {"Bearer " + token}},
			})
		},
		"the sweeper": func(w *world, a *api.API, _ string) {
			w.clock.add(time.Hour)
			must(t, a.Sweep(context.Background()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, r, func(w *world) { w.opts.NetworkPolicy = session.PolicyRevoke })
			token := w.script().signIn(newAccount(t)).text("accessToken")
			h := &slowHints{logged: make(chan struct{})}
			rdb := r.NewProduct(t)
			rdb.AddHook(h)
			opts := w.opts
			opts.Outbox.Types = []session.EventType{session.EventEnded}
			opts.Audit = func(_ context.Context, e session.Event) {
				if e.Type == session.EventEnded {
					close(h.logged)
				}
			}
			store := session.NewStore(rdb, w.ring, opts, w.clock.now)
			end(w, api.New(w.cfg, store, discard(), w.clock.now), token)
			h.returned.Store(true)
			if !h.sent.Load() {
				t.Error("the hint was not sent beside the change, or not awaited")
			}
			named, err := store.Hints(context.Background())
			must(t, err)
			if len(named) != 1 {
				t.Errorf("hints for %d", named)
			}
		})
	}
}
