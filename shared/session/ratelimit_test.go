package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Limits of these tests: the next request passes after so many seconds that a test which is held up meanwhile does not
// see Redis forget.
const (
	fewNonces = 6 // one each ten seconds
	fewLogins = 3 // one each twenty
)

func limiting(o *session.Options) { o.NonceRate, o.LoginRate = fewNonces, fewLogins }

func from(text string) session.NonceTerms {
	t := session.NonceTerms{Transport: session.Bearer, Purpose: session.ForLogin}
	if text != "" {
		t.From = netip.MustParseAddr(text)
	}
	return t
}

// issues asks for a nonce and tells whether it passed.
func issues(t *testing.T, s *session.Store, terms session.NonceTerms) (nonce string, passed bool) {
	t.Helper()
	nonce, _, err := s.IssueNonce(ctx, terms)
	if err == nil {
		return nonce, true
	}
	if limited(t, err, "nonce"); nonce != "" {
		t.Errorf("a refused request got the nonce %q", nonce)
	}
	return "", false
}

// limited asserts that a limit refused, and returns how it stands.
func limited(t *testing.T, err error, name string) session.RateError {
	t.Helper()
	var over *session.RateError
	if !errors.As(err, &over) || over.Name != name {
		t.Fatalf("got %v, want the limit %s to refuse", err, name)
	}
	return *over
}

// everyKeyEnds asserts that nothing stays, and limits not for longer than a minute.
func (w *world) everyKeyEnds() {
	w.t.Helper()
	for key := range w.dump() {
		ttl, most := w.rdb.PTTL(ctx, key).Val(), 6*time.Minute
		if strings.Contains(key, "}:l") {
			most = time.Minute + time.Millisecond
		}
		if ttl <= 0 || ttl > most {
			w.t.Errorf("key %q stays for %v", key, ttl)
		}
	}
}

func (w *world) limitKeys() []string {
	w.t.Helper()
	keys := w.redis.Keys(w.t, w.opts.Prefix+":{*}:l*")
	return keys
}

// warm makes Redis know the scripts, on every node that may be asked.
func (w *world) warm() {
	w.t.Helper()
	w.redis.EachPrimary(w.t, func(node *redis.Client) { must(w.t, session.LoadScripts(ctx, node)) })
}

func TestLimit_burstThenOneEachInterval(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		for i := range fewNonces {
			if _, passed := issues(t, w.Store, from("192.0.2.1")); !passed {
				t.Fatalf("request %d was refused", i+1)
			}
		}
		before := w.dump()
		_, _, err := w.IssueNonce(ctx, from("192.0.2.1"))
		want := session.RateError{Name: "nonce", Limit: fewNonces, Window: time.Minute, Retry: 10 * time.Second}
		if got := limited(t, err, "nonce"); got != want {
			t.Errorf("told %+v, want %+v", got, want)
		}
		if !same(before, w.dump()) {
			t.Error("a refused request changed something")
		}
		w.clock.add(10*time.Second - time.Millisecond)
		_, _, err = w.IssueNonce(ctx, from("192.0.2.1"))
		if got := limited(t, err, "nonce").Retry; got != time.Millisecond {
			t.Errorf("told to come again in %v", got)
		}
		for range 3 {
			w.clock.add(time.Millisecond)
			_, passed := issues(t, w.Store, from("192.0.2.1"))
			_, twice := issues(t, w.Store, from("192.0.2.1"))
			if !passed || twice {
				t.Errorf("passed %v, and at once again %v; want one", passed, twice)
			}
			w.clock.add(10*time.Second - time.Millisecond)
		}
		w.everyKeyEnds()
	})
}

// Attack case 45: no minute has an edge at which a limit begins anew.
func TestLimit_noEdge(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, start := range []time.Duration{0, time.Millisecond, 59999 * time.Millisecond} {
			w := newWorld(t, r, limiting)
			w.clock.add(start)
			passed := 0
			for range 3 * fewNonces {
				if _, ok := issues(t, w.Store, from("192.0.2.1")); ok {
					passed++
				}
				w.clock.add(2 * time.Millisecond)
			}
			if passed != fewNonces {
				t.Errorf("beginning %v after a whole minute %d passed within %v, want %d", start, passed, 6*fewNonces*time.Millisecond, fewNonces)
			}
		}
	})
}

// Attack case 45: functions whose clocks are 30 s apart give a network what it may have, and once what they are apart.
func TestLimit_clocksApart(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		const interval, skew, passing = time.Minute / fewNonces, 30 * time.Second, 5 * time.Minute
		for _, ahead := range []time.Duration{skew, -skew} {
			w := newWorld(t, r, limiting)
			other := w.clock.behind(-ahead)
			stores := []*session.Store{w.Store, w.on(w.product, other)}
			total := 0
			for range int(passing / time.Second) {
				for _, s := range stores {
					if _, passed := issues(t, s, from("192.0.2.1")); passed {
						total++
					}
				}
				w.clock.add(time.Second)
				other.add(time.Second)
			}
			least, most := fewNonces+int(passing/interval)-1, fewNonces+int((passing+skew)/interval)
			if total < least || total > most {
				t.Errorf("other clock %v ahead: %d passed in %v, want %d to %d", ahead, total, passing, least, most)
			}
			w.everyKeyEnds()
			w.clock.add(skew + interval)
			if _, passed := issues(t, w.Store, from("192.0.2.1")); !passed {
				t.Errorf("other clock %v ahead: still refused when it had gone", ahead)
			}
		}
	})
}

// Attack case 45: a clock that ran ahead, or a damaged value, locks nobody out for good: nobody is told to wait for longer
// than an interval, and Redis forgets within a minute.
func TestLimit_neverLocksForGood(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		ahead := w.on(w.product, w.clock.behind(-365*24*time.Hour))
		for range 2 * fewNonces {
			issues(t, ahead, from("2001:db8::1"))
		}
		_, _, err := w.IssueNonce(ctx, from("2001:db8::1"))
		if got := limited(t, err, "nonce").Retry; got > 10*time.Second {
			t.Errorf("told to come again in %v", got)
		}
		w.everyKeyEnds()
		keys := w.limitKeys()
		if len(keys) != 2 {
			t.Fatalf("limits %q", keys)
		}
		must(t, w.rdb.Del(ctx, keys...).Err()) // as Redis does within the minute
		if _, passed := issues(t, w.Store, from("2001:db8::1")); !passed {
			t.Error("refused after Redis forgot")
		}
		for _, damaged := range []string{"", "x", "\x00\x00\x00\x00\x00\x00", "1799999999999", strings.Repeat("\xff", 6), strings.Repeat("\xff", 600)} {
			for _, key := range keys {
				must(t, w.rdb.Set(ctx, key, damaged, time.Minute).Err())
			}
			if _, _, err := w.IssueNonce(ctx, from("2001:db8::1")); err != nil {
				if got := limited(t, err, "nonce").Retry; got > 10*time.Second {
					t.Errorf("%.12q: told to come again in %v", damaged, got)
				}
			}
		}
	})
}

// Attack case 23: a flood gets what its network may have, under whatever spelling of an address, and leaves no more than
// that in Redis; other networks do not feel it.
func TestLimit_flood(t *testing.T) {
	for name, c := range map[string]struct {
		spellings []string
		limits    int // keys
		others    []string
	}{
		"IPv4": {
			[]string{"203.0.113.7", "::ffff:203.0.113.7", "::FFFF:CB00:7107", "0:0:0:0:0:ffff:203.0.113.7", "::ffff:203.0.113.7%eth0"}, 1,
			[]string{"203.0.113.8", "::203.0.113.7", "2001:db8::1", ""},
		},
		"IPv6": {
			[]string{"2001:db8:a:b::1", "2001:DB8:A:B::1", "2001:db8:a:b:0:0:0:1", "2001:db8:a:b::1%eth0", "2001:db8:a:b:ffff:ffff:ffff:ffff"}, 2,
			[]string{"2001:db8:a:c::1", "2001:db8:b:b::1", "2001:db8:a::1", "203.0.113.7", ""},
		},
		"unknown": {[]string{""}, 1, []string{"0.0.0.0", "::", "203.0.113.7"}},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, limiting)
				passed := 0
				for i := range 150 {
					if _, ok := issues(t, w.Store, from(c.spellings[i%len(c.spellings)])); ok {
						passed++
					}
				}
				if passed != fewNonces {
					t.Errorf("%d passed, want %d", passed, fewNonces)
				}
				if n := len(w.dump()); n != fewNonces+c.limits {
					t.Errorf("%d keys, want %d nonces and %d limits", n, fewNonces, c.limits)
				}
				w.everyKeyEnds()
				for _, other := range c.others {
					if _, ok := issues(t, w.Store, from(other)); !ok {
						t.Errorf("%q is refused for the flood", other)
					}
				}
			})
		})
	}
}

// Attack case 23: who has a whole IPv6 /48 has eight times what a /64 has.
func TestLimit_floodFromManyNetworks(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		passed := 0
		for i := range 100 {
			if _, ok := issues(t, w.Store, from(fmt.Sprintf("2001:db8:a:%x::1", i))); ok {
				passed++
			}
		}
		if want := 8 * fewNonces; passed != want || len(w.dump()) != want+want+1 {
			t.Errorf("%d passed and left %d keys, want %d and %d", passed, len(w.dump()), want, want+want+1)
		}
		_, _, err := w.IssueNonce(ctx, from("2001:db8:a:ffff::1"))
		if got := limited(t, err, "nonce"); got.Retry != 1250*time.Millisecond || got.Limit != fewNonces {
			t.Errorf("told %+v", got)
		}
		if _, ok := issues(t, w.Store, from("2001:db8:b::1")); !ok {
			t.Error("another /48 is refused for the flood")
		}
	})
}

func TestLimit_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		var passed atomic.Int64
		together(50, func(int) {
			var over *session.RateError
			switch _, _, err := w.IssueNonce(ctx, from("2001:db8::1")); {
			case err == nil:
				passed.Add(1)
			case !errors.As(err, &over):
				t.Error(err)
			}
		})
		if passed.Load() != fewNonces {
			t.Errorf("%d passed, want %d", passed.Load(), fewNonces)
		}
	})
}

// Attack case 24: a flood of bad logins, whatever nonces it names, is refused; a victim elsewhere signs in.
func TestLimit_badSpends(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		victim, _ := issues(t, w.Store, from("198.51.100.1"))
		own, _ := issues(t, w.Store, from("203.0.113.7"))
		tries := []string{"", "}{", "neverIssued0123456789abc", own, victim[:23]}
		refused := 0
		for i := range 100 {
			err := w.SpendNonce(ctx, tries[i%len(tries)], from("203.0.113.7"))
			var over *session.RateError
			if errors.As(err, &over) {
				refused++
			} else {
				wants(t, err, session.ErrNonceUnknown)
			}
		}
		if refused != 100-fewLogins {
			t.Errorf("%d refused, want %d", refused, 100-fewLogins)
		}
		// The fourth try was one too many, and it spent the nonce all the same.
		wants(t, w.SpendNonce(ctx, own, from("192.0.2.9")), session.ErrNonceSpent)
		must(t, w.SpendNonce(ctx, victim, from("198.51.100.1")))
		if n := len(w.dump()); n != 2+2+3 { // two nonces, the limits of two that asked and of three that spent
			t.Errorf("%d keys", n)
		}
		w.everyKeyEnds()
	})
}

// The limits of nonces, of logins, and of step-ups: the first is not the second, the second is the third.
func TestLimit_names(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		stepUp := from("192.0.2.1")
		stepUp.Purpose, stepUp.Session = session.ForStepUp, token.ID{User: token.UserID{1}}
		for i := range fewLogins {
			terms := from("192.0.2.1")
			if i == 1 {
				terms = stepUp
			}
			nonce, _ := issues(t, w.Store, terms)
			must(t, w.SpendNonce(ctx, nonce, terms))
		}
		nonce, passed := issues(t, w.Store, stepUp)
		if !passed {
			t.Fatal("the logins counted as nonces")
		}
		want := session.RateError{Name: "login", Limit: fewLogins, Window: time.Minute, Retry: 20 * time.Second}
		if got := limited(t, w.SpendNonce(ctx, nonce, stepUp), "login"); got != want {
			t.Errorf("told %+v, want %+v", got, want)
		}
	})
}

func TestLimit_accounts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		one, other := token.UserID{1, 2, 3}, token.UserID{1, 2, 4} // of one bucket
		for range 2 {
			must(t, w.CountLogin(ctx, 2, one))
			must(t, w.CountRefresh(ctx, 2, one, phone.IP))
		}
		limited(t, w.CountLogin(ctx, 2, one), "login")
		limited(t, w.CountRefresh(ctx, 2, one, phone.IP), "refresh")
		must(t, w.CountLogin(ctx, 2, other))
		must(t, w.CountRefresh(ctx, 2, other, phone.IP))
		must(t, w.CountRefresh(ctx, 2, one, laptop.IP))
		for range 9 {
			must(t, w.CountLogin(ctx, 0, one)) // no limit
		}
		for _, key := range w.limitKeys() {
			if !strings.HasPrefix(key, w.opts.Prefix+":{010}:l") || len(key) != len(w.opts.Prefix+":{010}:l")+16 {
				t.Errorf("key %q", key)
			}
		}
		w.everyKeyEnds()
	})
}

// Where nothing is limited, nothing is counted, and each operation is one script.
func TestLimit_off(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		var sent []string
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if isScript(cmd) {
				sent = append(sent, fmt.Sprint(cmd.Args()[2]))
			}
			return next(ctx, cmd)
		}), w.clock)
		w.warm()
		nonce, _, err := s.IssueNonce(ctx, from("192.0.2.1"))
		must(t, err)
		must(t, s.SpendNonce(ctx, nonce, from("192.0.2.1")))
		if fmt.Sprint(sent) != "[1 1]" {
			t.Errorf("scripts with %v keys, want two with the nonce alone", sent)
		}
		for range 200 {
			_, _, err := s.IssueNonce(ctx, from("192.0.2.1"))
			must(t, err)
		}
		if keys := w.limitKeys(); len(keys) != 0 {
			t.Errorf("limits %q", keys)
		}
	})
}

// Asking and spending are one trip each, with limits too, and two where Redis does not know the scripts.
func TestLimit_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		counting := redistest.Counting(t, r)
		s := w.on(counting, w.clock)
		for _, known := range []bool{true, false} {
			want := 1
			if known {
				w.warm()
			} else {
				w.flushScripts()
				want = 2
			}
			counting.Reset()
			nonce, _, err := s.IssueNonce(ctx, from("2001:db8::1"))
			must(t, err)
			if n := counting.RoundTrips(); n != want {
				t.Errorf("scripts known %v: asking took %d round trips, want %d", known, n, want)
			}
			counting.Reset()
			must(t, s.SpendNonce(ctx, nonce, from("2001:db8::1")))
			if n := counting.RoundTrips(); n != want {
				t.Errorf("scripts known %v: spending took %d round trips, want %d", known, n, want)
			}
		}
	})
}

// afterPipeline is a go-redis hook around pipelines.
type afterPipeline func(cmds []redis.Cmder, err error) error

func (h afterPipeline) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h afterPipeline) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h afterPipeline) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return h(cmds, next(ctx, cmds)) }
}

// Invariant 8: with limits too, an operation whose answer is lost is asked for again and nobody notices. A limit may have
// counted it twice.
func TestLimit_lostReply(t *testing.T) {
	lose := &net.OpError{Op: "read", Err: io.EOF}
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, lost := range map[string][]int{"count": {0}, "spending": {1}, "both": {0, 1}} {
			w := newWorld(t, r, limiting)
			w.warm()
			rdb := w.redis.NewProduct(t, patient)
			asked := []int{}
			rdb.AddHook(afterPipeline(func(cmds []redis.Cmder, err error) error {
				if asked = append(asked, len(cmds)); len(asked) > 1 || err != nil {
					return err
				}
				for _, i := range lost {
					cmds[i].SetErr(lose)
				}
				return lose
			}))
			nonce, _ := issues(t, w.Store, from("192.0.2.1"))
			if err := w.on(rdb, w.clock).SpendNonce(ctx, nonce, from("192.0.2.1")); err != nil {
				t.Errorf("%s lost: %v", name, err)
			}
			if fmt.Sprint(asked) != fmt.Sprint([]int{2, len(lost)}) {
				t.Errorf("%s lost: pipelines of %v, want what was lost asked for again", name, asked)
			}
			wants(t, w.SpendNonce(ctx, nonce, from("192.0.2.1")), session.ErrNonceSpent)
		}
		w := newWorld(t, r, limiting)
		var replies, doubled atomic.Int64
		nonce, _ := issues(t, w.on(w.losing(&replies), w.clock), from("192.0.2.1"))
		must(t, w.SpendNonce(ctx, nonce, from("192.0.2.1")))
		issues(t, w.on(w.doubling(t, &doubled), w.clock), from("192.0.2.1"))
		if replies.Load() != 1 || doubled.Load() != 1 {
			t.Errorf("%d replies lost, %d doubled", replies.Load(), doubled.Load())
		}
	})
}

// A connection that is out of step hands out the replies of other calls: none is believed.
func TestLimit_crossedReplies(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), limiting)
	nonce, _ := issues(t, w.Store, from("192.0.2.1"))
	w.warm()
	rdb := w.redis.NewProduct(t, patient)
	rdb.AddHook(afterPipeline(func(cmds []redis.Cmder, err error) error {
		a, b := cmds[0].(*redis.Cmd), cmds[1].(*redis.Cmd)
		first := a.Val()
		a.SetVal(b.Val())
		b.SetVal(first)
		return err
	}))
	wants(t, w.on(rdb, w.clock).SpendNonce(ctx, nonce, from("192.0.2.1")), session.ErrUnavailable)
}

// A dead connection is asked once more, and what Redis cannot serve now is told so.
func TestLimit_unavailable(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), limiting)
	nonce, _ := issues(t, w.Store, from("192.0.2.1"))
	wants(t, w.on(w.failing("OOM command not allowed", 9), w.clock).SpendNonce(ctx, nonce, from("192.0.2.1")), session.ErrUnavailable)
	wants(t, w.on(w.failing("TRYAGAIN", 2), w.clock).SpendNonce(ctx, nonce, from("192.0.2.1")), session.ErrUnavailable)
	must(t, w.on(w.failing("TRYAGAIN", 1), w.clock).SpendNonce(ctx, nonce, from("192.0.2.1")))
}

// The keys of a script are in one slot, that of the nonce; no key or value says who asked.
func TestLimit_keys(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, limiting)
		var keys []string
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if isScript(cmd) {
				args := cmd.Args()
				keys = keys[:0]
				for _, key := range args[3 : 3+args[2].(int)] {
					keys = append(keys, key.(string))
				}
			}
			return next(ctx, cmd)
		}), w.clock)
		for _, ip := range []netip.Addr{laptop.IP, phone.IP, {}} {
			terms := session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin, From: ip}
			tags := map[string]bool{}
			for range 3 {
				nonce, _ := issues(t, s, terms)
				oneTag(t, keys)
				if want := 2 + len(ip.AsSlice())/16; len(keys) != want || tag(keys[0]) != nonce[:2] {
					t.Errorf("%v: keys %q for nonce %s, want %d", ip, keys, nonce, want)
				}
				tags[nonce[:2]] = true
			}
			nonce, _ := issues(t, s, terms)
			must(t, s.SpendNonce(ctx, nonce, terms))
			if tags[nonce[:2]] = true; len(tags) != 1 {
				t.Errorf("%v: tags %v", ip, tags)
			}
			if _, seen := w.dump()[keys[0]]; !seen || tag(keys[0]) != nonce[:2] {
				t.Errorf("%v: the limit of spending is at %q", ip, keys[0])
			}
		}
		ip, ip6, dump := laptop.IP.As4(), phone.IP.As16(), w.dump()
		for name, secret := range map[string][]byte{
			"ip": ip[:], "/64": ip6[:8], "/48": ip6[:6], "ip text": []byte("203.0.113"), "ipv6 text": []byte("2001:db8"),
		} {
			if contains(dump, secret) {
				t.Errorf("Redis holds the %s", name)
			}
		}
		elsewhere := session.NewStore(w.product, newRing(t, "other secret"), w.opts, w.clock.now)
		before := len(w.limitKeys())
		issues(t, elsewhere, session.NonceTerms{From: laptop.IP})
		if len(w.limitKeys()) != before+1 {
			t.Error("the name of a limit does not depend on the key")
		}
	})
}

func TestFailures(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		count := func(n int) {
			for range n {
				must(t, w.CountFailure(ctx))
			}
		}
		sums := func(want int) {
			t.Helper()
			got, err := w.Failures(ctx)
			if must(t, err); got != want {
				t.Errorf("%v: %d failures, want %d", w.clock.now().UTC(), got, want)
			}
		}
		sums(0)
		count(20)
		sums(20)
		w.clock.add(time.Hour)
		count(3)
		sums(23)
		w.clock.add(24*time.Hour - time.Millisecond) // the first hour is the 24th before this one
		sums(23)
		w.clock.add(time.Millisecond)
		sums(3)
		w.clock.add(time.Hour)
		sums(0)
		if n := len(w.dump()); n < 2 || n > 8+3 {
			t.Errorf("%d keys", n)
		}
		for key := range w.dump() {
			if ttl := w.rdb.PTTL(ctx, key).Val(); ttl <= 25*time.Hour || ttl > 26*time.Hour {
				t.Errorf("key %q stays for %v", key, ttl)
			}
		}
	})
}

func TestFailures_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		counting := redistest.Counting(t, r)
		s := w.on(counting, w.clock)
		must(t, s.CountFailure(ctx))
		if n := counting.RoundTrips(); n != 1 {
			t.Errorf("counting took %d round trips", n)
		}
		counting.Reset()
		if n, err := s.Failures(ctx); n != 1 || err != nil || counting.RoundTrips() != 1 {
			t.Errorf("%d failures, %v, in %d round trips", n, err, counting.RoundTrips())
		}
	})
}
