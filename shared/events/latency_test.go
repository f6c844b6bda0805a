package events_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/events"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// deaf is an outbox whose hints are all lost.
type deaf struct{ events.Outbox }

func (deaf) Hints(context.Context) ([]int, error) { return nil, nil }

// quantile returns a quantile of times, which it sorts.
func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))]
}

// timed is a store with a clock of a test.
type timed struct {
	*session.Store
	now    func() time.Time
	logins int
}

func newTimed(t testing.TB) *timed {
	t.Helper()
	r, secret := redistest.Embedded(t), []byte("0123456789abcdef0123456789abcdef")
	ring, err := seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, secret))
	must(t, err)
	opts := session.Options{
		Prefix: r.Prefix, Idle: time.Hour, Absolute: 12 * time.Hour, Access: 15 * time.Minute, Grace: time.Minute, Touch: time.Minute,
		SessionLimit: 5, StepUp: 5 * time.Minute, PreferencesKeep: 24 * time.Hour, StateQuota: 1 << 10,
	}
	opts.Outbox.Types = []session.EventType{session.EventLogin}
	s := &timed{now: time.Now}
	s.Store = session.NewStore(r.NewProduct(t), ring, opts, func() time.Time { return s.now() })
	return s
}

// signIn signs a new account in.
func (s *timed) signIn(t testing.TB) {
	t.Helper()
	s.logins++
	_, err := s.Create(ctx, session.Login{
		Nonce: fmt.Sprint(s.logins), Account: token.KeyAccount(common.Address{byte(s.logins >> 8), byte(s.logins)}), ChainID: 1,
		Client: session.Client{Transport: session.Bearer},
	})
	must(t, err)
}

// eachMinute runs a publisher as AWS does: for 52 seconds of each minute.
func eachMinute(ctx context.Context, t testing.TB, box events.Outbox, s events.Sink, now func() time.Time) {
	for clock := time.NewTicker(time.Minute); ; {
		run, cancel := context.WithTimeout(ctx, 52*time.Second)
		if _, err := events.NewPublisher(box, s, true, now, func(string, error) {}).Run(run); err != nil {
			t.Error(err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
	}
}

// An event takes about a second, or until the next minute if it happens in the seconds in which no publisher runs. If every hint
// is lost, it takes a minute at most. The clock of this test is its own, on which requests take no time.
func TestPublisher_latency(t *testing.T) {
	const changes = 60
	for name, c := range map[string]struct {
		box            func(w *timed) events.Outbox
		median, atMost time.Duration
	}{
		"hints":     {func(w *timed) events.Outbox { return w }, 2 * time.Second, 10 * time.Second},
		"none left": {func(w *timed) events.Outbox { return deaf{w} }, time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w, real := newTimed(t), time.Now()
			var took []time.Duration
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w.now = func() time.Time { return real.Add(time.Since(began)) } // what has expired is gone
				s := &sink{batch: 10}
				s.answer = func(d events.Delivery, _ int) events.Result {
					took = append(took, w.now().Sub(d.At))
					return events.Accepted
				}
				ctx, stop := context.WithCancel(context.Background())
				var ended sync.WaitGroup
				ended.Go(func() { eachMinute(ctx, t, c.box(w), s, w.now) })
				for range changes {
					time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Second))))
					w.signIn(t)
				}
				time.Sleep(2 * time.Minute)
				stop()
				ended.Wait()
			})
			median, most := quantile(took, .5), took[len(took)-1]
			t.Logf("%d events: median %v, 95 %% %v, at most %v", len(took), median, quantile(took, .95), most)
			if len(took) != changes || median > c.median || most > c.atMost {
				t.Errorf("%d events, median %v, at most %v", len(took), median, most)
			}
		})
	}
}

var latencyLost = flag.Bool("hints-lost", false, "BenchmarkLatency loses every hint, and takes half a minute for each event")

// BenchmarkLatency measures from the start of a login to a receiver of webhooks, on the real clock.
func BenchmarkLatency(b *testing.B) {
	w := newTimed(b)
	got := make(chan string, 1000)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e events.Envelope
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			b.Error(err)
		}
		got <- e.Detail.SessionID
	}))
	defer receiver.Close()
	var box events.Outbox = w
	if *latencyLost {
		box = deaf{w}
	}
	webhook, err := events.NewWebhook(receiver.URL, "whsec_"+base64.StdEncoding.EncodeToString(key), time.Now)
	must(b, err)
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { eachMinute(ctx, b, box, webhook, time.Now) })
	var took []time.Duration
	for b.Loop() {
		time.Sleep(time.Duration(rand.Int64N(int64(time.Second)))) // at any time between two looks
		began := time.Now()
		w.signIn(b)
		<-got
		took = append(took, time.Since(began))
	}
	stop()
	ended.Wait()
	b.ReportMetric(quantile(took, .5).Seconds(), "s-median")
	b.ReportMetric(quantile(took, .95).Seconds(), "s-p95")
	b.ReportMetric(quantile(took, 1).Seconds(), "s-max")
}
