package api_test

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
)

// Each metric is told when it happens, once, and nothing else is.
func TestMetrics(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		counted := map[api.Metric]float64{}
		w := newWorld(t, r, func(w *world) { w.cfg.Metric = func(m api.Metric, value float64) { counted[m] += value } })
		wants := func(what string, want map[api.Metric]float64) {
			t.Helper()
			if !maps.Equal(counted, want) {
				t.Errorf("%s: counted %v, want %v", what, counted, want)
			}
			clear(counted)
		}
		c, alice := w.script(), newAccount(t)
		c.send("GET", "/health", nil).wants(200, "")
		c.signIn(alice)
		c.profile().wants(200, "")
		c.profile(bearer("forged")).wants(401, "invalid_token")
		c.send("GET", "/api/profile", nil).wants(401, "no_credentials")
		c.login("{").wants(400, badRequest)
		wants("everyday life", nil)

		c.login(c.body(newAccount(t), c.message(alice).String())).wants(401, refused)
		text := c.stepUpMessage().String()
		c.stepUp(confirmation(newAccount(t), text)).wants(401, refused)
		wants("logins not accepted", map[api.Metric]float64{api.FailedLogins: 2})

		w.clock.add(time.Minute)
		old := c.copyOf()
		c.take(c.renew().wants(200, ""))
		w.clock.add(time.Minute)
		wants("a refresh", nil)
		old.renew().wants(401, "session_ended")
		old.renew().wants(401, "session_ended")
		c.renew().wants(401, "session_ended")
		wants("a stolen token", map[api.Metric]float64{api.ReuseDetections: 1})

		c.signIn(alice)
		w.script().signIn(newAccount(t))
		must(t, w.api.Sweep(context.Background()))
		wants("a sweep", map[api.Metric]float64{api.Sessions: 2})
	})
}

func TestMetrics_faults(t *testing.T) {
	counted := map[api.Metric]float64{}
	own := redistest.ServerWith(t)
	w := newWorld(t, own.Redis, func(w *world) { w.cfg.Metric = func(m api.Metric, value float64) { counted[m] += value } })
	c := w.script()
	c.signIn(newAccount(t))
	own.Stop()
	c.profile().wants(503, "unavailable")
	c.renew().wants(503, "unavailable")
	c.send("GET", "/health", nil).wants(503, "")
	if err := w.api.Sweep(context.Background()); err == nil {
		t.Error("swept without Redis")
	}
	if want := map[api.Metric]float64{api.Faults: 4}; !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
	own.Restart()
	clear(counted)
	c.profile().wants(401, "invalid_token")
	if len(counted) > 0 {
		t.Errorf("counted %v", counted)
	}
}

// Counters that were wrong are told of, as many as there were.
func TestMetrics_repaired(t *testing.T) {
	counted := map[api.Metric]float64{}
	r := redistest.Embedded(t)
	w := newWorld(t, r, func(w *world) {
		w.cfg.Metric = func(m api.Metric, value float64) { counted[m] += value }
		w.opts.Idle = w.opts.Absolute
	})
	w.script().signIn(newAccount(t))
	keys, err := r.Client().Keys(ctx, r.Prefix+":{*}:c").Result()
	must(t, err)
	if len(keys) != 1 {
		t.Fatalf("counters %v", keys)
	}
	must(t, r.Client().Del(ctx, keys[0]).Err())
	// The bucket that the key names is recounted in a minute of its own.
	partition, err := strconv.ParseInt(keys[0][strings.Index(keys[0], "{")+1:strings.Index(keys[0], "}")], 16, 64)
	must(t, err)
	for w.clock.now().Unix()/60%60 != partition%60 {
		w.clock.add(time.Minute)
	}
	must(t, w.api.Sweep(context.Background()))
	if want := map[api.Metric]float64{api.Repaired: 1, api.Sessions: 1}; !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}
