package session_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Live counts are of now, flows of the last sum, which health tells too.
func TestStatistics(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		empty, err := w.Statistics(ctx)
		must(t, err)
		if empty.Active != 0 || empty.Users != 0 || !empty.AsOf.IsZero() || len(empty.ByChain) != 0 {
			t.Errorf("nobody was there, and statistics tell %+v", empty)
		}
		login := func(n int, who int, chain uint64, transport session.Transport, class session.DeviceClass) session.Grant {
			t.Helper()
			client := session.Client{Transport: transport, Device: session.Device{Class: class}}
			g, err := w.Create(ctx, session.Login{Nonce: fmt.Sprint(n), Account: token.KeyAccount(person(who)), ChainID: chain, Client: client})
			must(t, err)
			return g
		}
		g := login(1, 1, 1, session.Cookie, session.Desktop)
		login(2, 1, 8453, session.Cookie, session.Mobile)
		login(3, 2, 1, session.Bearer, session.Tablet)
		login(4, 3, 1, session.Bearer, session.OtherDevice)
		_, err = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		must(t, w.CountFailure(ctx))
		w.sweep(w.Store)
		swept := w.clock.now()
		w.clock.add(time.Second)
		login(5, 4, 10, session.Cookie, session.Desktop)

		got, err := w.Statistics(ctx)
		must(t, err)
		want := session.Statistics{
			Active: 4, Users: 4, Logins: 4, FailedLogins: 1, AsOf: swept.UTC(),
			ByChain:     map[uint64]int{1: 2, 8453: 1, 10: 1},
			ByTransport: map[session.Transport]int{session.Cookie: 2, session.Bearer: 2},
			ByDevice:    map[session.DeviceClass]int{session.Desktop: 1, session.Mobile: 1, session.Tablet: 1, session.OtherDevice: 1},
			Ended:       map[session.Reason]int{session.LoggedOut: 1},
		}
		if n := len(got.Hours); n != 24 {
			t.Errorf("%d hours", n)
		}
		got.Hours = nil // TestStatistics_hours has them
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		h, err := w.Check(ctx)
		must(t, err)
		if h.Active == nil || *h.Active != 3 || !h.AsOf.Equal(swept) {
			t.Errorf("health tells %v as of %v", h.Active, h.AsOf)
		}
	})
}

// Flows are of the hour under way and the 24 whole ones before; what is older is no longer told, and then dropped.
func TestStatistics_lastDay(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r, func(o *session.Options) { o.Idle, o.Absolute = 100*time.Hour, 100*time.Hour })
		w.clock.set(w.clock.now().Truncate(time.Hour).Add(59 * time.Minute))
		logins := func() int {
			t.Helper()
			w.sweepOf(alice, bob)
			got, err := w.Statistics(ctx)
			must(t, err)
			return got.Logins
		}
		w.create("a", alice, laptop)
		w.clock.add(2 * time.Minute) // another hour
		w.create("b", alice, laptop)
		w.create("c", bob, laptop)
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{0, 3}, {23*time.Hour + 58*time.Minute, 3}, {time.Minute, 2}, {59 * time.Minute, 2}, {time.Minute, 0}} {
			w.clock.add(step.after)
			if n := logins(); n != step.want {
				t.Errorf("at %v there were %d logins, want %d", w.clock.now().UTC(), n, step.want)
			}
		}
		w.clock.add(3 * time.Hour)
		w.create("d", alice, laptop)
		if _, hourly, err := w.Counters(ctx, session.Partition(w.UserOf(token.KeyAccount(alice)))); err != nil || !maps.Equal(hourly, map[string]int{"login": 1}) {
			t.Errorf("kept are %v, %v", hourly, err)
		}
	})
}

// The statistics have each of the 24 complete hours before a sweep, without the current one. A summary of 0.1.0 has none.
func TestStatistics_hours(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r, func(o *session.Options) { o.Idle, o.Absolute = 100*time.Hour, 100*time.Hour })
		start := w.clock.now().Truncate(time.Hour)
		at := func(hour int) { w.clock.set(start.Add(time.Duration(hour)*time.Hour + 59*time.Minute)) }
		for hour := range 3 {
			at(hour)
			for i := range hour + 1 {
				must(t, w.CountFailure(ctx))
				g := w.create(fmt.Sprint(hour, i), []common.Address{alice, bob}[i%2], laptop)
				if hour == 1 {
					_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
					must(t, err)
				}
			}
		}
		hours := func() string {
			t.Helper()
			w.sweepOf(alice, bob)
			got, err := w.Statistics(ctx)
			must(t, err)
			if len(got.Hours) != 24 || !got.Hours[23].Start.Equal(w.clock.now().Truncate(time.Hour).Add(-time.Hour)) {
				t.Fatalf("the hours at %v are %v", w.clock.now().UTC(), got.Hours)
			}
			text := ""
			for i, h := range got.Hours {
				if n := len(h.Ended); h.Logins > 0 || h.FailedLogins > 0 || n > 0 {
					text += fmt.Sprintf("%d: %d %d %v ", int(h.Start.Sub(start).Hours()), h.Logins, h.FailedLogins, h.Ended)
				}
				if i > 0 && h.Start.Sub(got.Hours[i-1].Start) != time.Hour {
					t.Errorf("hour %d begins at %v", i, h.Start)
				}
			}
			return strings.TrimSpace(text)
		}
		ended := fmt.Sprint(map[session.Reason]int{session.LoggedOut: 2})
		first, second, third := "0: 1 1 map[] ", "1: 2 2 "+ended, " 2: 3 3 map[]"
		for hour, want := range map[int]string{
			2: first + second, 3: first + second + third, 24: first + second + third, 25: second + third, 27: "",
		} {
			at(hour)
			if got := hours(); got != want {
				t.Errorf("at %d:59 the hours are %q, want %q", hour, got, want)
			}
		}
		old := `{"asOf":"2026-11-23T10:00:00Z","active":1,"users":1,"logins":5,"failedLogins":6,"ended":{"1":7}}`
		must(t, w.rdb.Set(ctx, w.SummaryKey(), old, 0).Err())
		got, err := w.Statistics(ctx)
		must(t, err)
		if got.Logins != 5 || got.FailedLogins != 6 || got.Ended[1] != 7 || got.Hours != nil {
			t.Errorf("of a summary of 0.1.0 came %+v", got)
		}
	})
}

// More chains in one bucket than are read at first are read, too; chains nobody is on are not told.
func TestStatistics_manyChains(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r, func(o *session.Options) { o.SessionLimit = 0 })
		var first session.Grant
		for i := range 30 {
			g, err := w.Create(ctx, session.Login{Nonce: fmt.Sprint(i), Account: token.KeyAccount(alice), ChainID: uint64(i) << 40, Client: laptop})
			must(t, err)
			if i == 0 {
				first = g
			}
		}
		_, err := w.Revoke(ctx, first.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		got, err := w.Statistics(ctx)
		must(t, err)
		if len(got.ByChain) != 29 || got.ByChain[29<<40] != 1 || got.Active != 29 {
			t.Errorf("got %v", got)
		}
	})
}

// Statistics take the same few trips however many sessions there are, each of them short, and never list keys.
func TestStatistics_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.crowd(20)
		counting := redistest.Counting(t, r)
		_, err := w.on(counting, w.clock).Statistics(ctx)
		must(t, err)
		if n := counting.RoundTrips(); n != 9 {
			t.Errorf("statistics took %d trips, want 9", n)
		}
		watching, sent := w.watching()
		_, err = watching.Statistics(ctx)
		must(t, err)
		want := map[string]int{"getrange": 4096, "get": 1}
		if !maps.Equal(sent.commands, want) || slices.Max(sent.pipelines) > 512 {
			t.Errorf("statistics sent %v in pipelines of %v, want %v in no more than 512", sent.commands, sent.pipelines, want)
		}
	})
}

// Damaged counters count nothing, and a sum that is none tells nothing.
func TestStatistics_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.create("a", alice, laptop)
		w.create("b", bob, laptop)
		for _, damaged := range []string{"x", strings.Repeat("x", 20), "\x01" + strings.Repeat("\x05", 18) + "\xff"} {
			must(t, w.rdb.Set(ctx, w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(alice)))), damaged, 0).Err())
			must(t, w.rdb.Set(ctx, w.SummaryKey(), damaged, 0).Err())
			got, err := w.Statistics(ctx)
			must(t, err)
			if got.Active != 1 || !got.AsOf.IsZero() {
				t.Errorf("got %+v", got)
			}
			if h, err := w.Check(ctx); err != nil || h.Active != nil {
				t.Errorf("health tells %+v, %v", h, err)
			}
		}
	})
}
