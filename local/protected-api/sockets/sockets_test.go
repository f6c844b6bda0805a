package sockets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/protected-api/echo"
	"latchkey/local/protected-api/sockets"
)

var errAway = errors.New("away")

// world is the example with a table and a gateway that may fail.
type world struct {
	*sockets.LocalTable
	t   *testing.T
	now time.Time

	mu     sync.Mutex
	open   map[string]bool // by connection id
	closed []string
	away   map[string]bool // what fails: put, ended, of, end, remove, close
	before func(call string)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Unix(1764288000, 0), open: map[string]bool{}, away: map[string]bool{}}
	w.LocalTable = sockets.NewLocalTable(func() time.Time { return w.now })
	return w
}

func (w *world) call(name string) error {
	if w.before != nil {
		w.before(name)
	}
	if w.away[name] {
		return errAway
	}
	return nil
}

func (w *world) Put(ctx context.Context, c sockets.Connection) error {
	return errors.Join(w.call("put"), w.LocalTable.Put(ctx, c))
}

func (w *world) HasEnded(ctx context.Context, session string) (bool, error) {
	if err := w.call("ended"); err != nil {
		return false, err
	}
	return w.LocalTable.HasEnded(ctx, session)
}

func (w *world) Of(ctx context.Context, session string) ([]sockets.Connection, error) {
	if err := w.call("of"); err != nil {
		return nil, err
	}
	return w.LocalTable.Of(ctx, session)
}

func (w *world) End(ctx context.Context, session string) error {
	if err := w.call("end"); err != nil {
		return err
	}
	return w.LocalTable.End(ctx, session)
}

func (w *world) Remove(ctx context.Context, c sockets.Connection) error {
	return errors.Join(w.call("remove"), w.LocalTable.Remove(ctx, c))
}

// Close closes a connection that is open.
func (w *world) Close(_ context.Context, id string) error {
	if err := w.call("close"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open[id] {
		return sockets.ErrGone
	}
	delete(w.open, id)
	w.closed = append(w.closed, id)
	return nil
}

func invoke(t *testing.T, f lambda.Handler, in, out any) error {
	t.Helper()
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	output, err := f.Invoke(t.Context(), payload)
	if err == nil && json.Unmarshal(output, out) != nil {
		t.Fatalf("answered %s", output)
	}
	return err
}

// event sends an event of API Gateway. A handshake that is accepted opens the connection.
func (w *world) event(kind, session, id string) int {
	w.t.Helper()
	e := events.APIGatewayWebsocketProxyRequest{Body: "hello"}
	e.RequestContext.EventType, e.RequestContext.ConnectionID = kind, id
	e.RequestContext.Authorizer = map[string]any{"userId": "u1", "account": "0x1", "sessionId": session}
	var answer events.APIGatewayProxyResponse
	err := invoke(w.t, sockets.Handler(w, func() time.Time { return w.now }, echo.Handler()), e, &answer)
	if err != nil {
		return http.StatusInternalServerError
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind == "CONNECT" && answer.StatusCode == http.StatusOK {
		w.open[id] = true
	}
	return answer.StatusCode
}

func (w *world) connect(session, id string) int { w.t.Helper(); return w.event("CONNECT", session, id) }

// ended returns what EventBridge passes on when a session has ended.
func ended(session string) string {
	return fmt.Sprintf(`{"id":"e","source":"latchkey","detail-type":"session.ended","detail":{"v":1,"sessionId":%q,"sequence":7}}`, session)
}

// deliver delivers messages, and returns which of them failed, by number.
func (w *world) deliver(bodies ...string) (failed []string) {
	w.t.Helper()
	var batch events.SQSEvent
	for i, body := range bodies {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: body})
	}
	consumer := sockets.Consumer(w, w, func() time.Time { return w.now }, slog.New(slog.DiscardHandler))
	var response events.SQSEventResponse
	if err := invoke(w.t, consumer, batch, &response); err != nil {
		w.t.Fatal(err)
	}
	for _, f := range response.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	return failed
}

func (w *world) wants(open ...string) {
	w.t.Helper()
	var got []string
	for id := range w.open {
		got = append(got, id)
	}
	slices.Sort(got)
	if !slices.Equal(got, open) {
		w.t.Errorf("open are %q, want %q", got, open)
	}
}

// stored reports how many connections of a session are stored.
func (w *world) stored(session string) int {
	w.t.Helper()
	all, err := w.LocalTable.Of(w.t.Context(), session)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(all)
}

// All connections of a session are closed when it ends, and no others. A repeat changes nothing.
func TestConsumer(t *testing.T) {
	w := newWorld(t)
	for id, session := range map[string]string{"a1": "a", "a2": "a", "b1": "b"} {
		if status := w.connect(session, id); status != http.StatusOK {
			t.Fatalf("%s: %d", id, status)
		}
	}
	for range 2 {
		if failed := w.deliver(ended("a"), ended("unknown")); failed != nil {
			t.Errorf("failed: %q", failed)
		}
		w.wants("b1")
	}
	if len(w.closed) != 2 || w.stored("a") != 0 || w.stored("b") != 1 {
		t.Errorf("closed %q", w.closed)
	}
	if status := w.connect("a", "a3"); status != http.StatusForbidden || w.stored("a") != 0 {
		t.Errorf("a connection of the ended session: %d", status)
	}
}

// A connection is closed whenever its session ends while it opens: before each step of the handshake, and after the last.
func TestHandler_race(t *testing.T) {
	for _, at := range []string{"put", "ended", "opened"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			again := []string{}
			w.before = func(call string) {
				if call == at {
					w.before = nil
					again = w.deliver(ended("a"))
				}
			}
			status := w.connect("a", "a1")
			if at == "opened" {
				again = w.deliver(ended("a"))
			}
			if len(again) > 0 { // the queue delivers it again
				w.now = w.now.Add(sockets.LongestHandshake)
				again = w.deliver(ended("a"))
			}
			w.wants()
			if len(again) > 0 || w.stored("a") != 0 {
				t.Errorf("status %d, failed %q, %d stored", status, again, w.stored("a"))
			}
		})
	}
}

// The handshake has asked, and has not ended: API Gateway says that the connection is gone, and opens it just after.
func TestConsumer_stillOpening(t *testing.T) {
	w := newWorld(t)
	w.connect("a", "a1")
	delete(w.open, "a1")
	if failed := w.deliver(ended("a")); len(failed) != 1 {
		t.Error("a connection that may still be opening counts as closed")
	}
	w.open["a1"] = true
	if failed := w.deliver(ended("a")); failed != nil || len(w.closed) != 1 {
		t.Errorf("failed %q, closed %q", failed, w.closed)
	}
	// One that was gone all the time is forgotten after a while.
	w.connect("b", "b1")
	delete(w.open, "b1")
	w.now = w.now.Add(sockets.LongestHandshake)
	if failed := w.deliver(ended("b")); failed != nil || w.stored("b") != 0 {
		t.Errorf("failed %q, %d stored", failed, w.stored("b"))
	}
}

// What fails is delivered again, and the rest of a batch is not.
func TestConsumer_faults(t *testing.T) {
	for _, call := range []string{"end", "of", "close", "remove"} {
		w := newWorld(t)
		w.connect("a", "a1")
		w.before = func(now string) { w.away[call] = now == call && w.stored("a") > 0 }
		w.away[call] = true
		if failed := w.deliver(ended("a")); !slices.Equal(failed, []string{"0"}) {
			t.Errorf("%s is away: failed %q", call, failed)
		}
		w.before, w.away = nil, map[string]bool{}
		w.now = w.now.Add(sockets.LongestHandshake)
		if failed := w.deliver(ended("a")); failed != nil {
			t.Errorf("%s is back: failed %q", call, failed)
		}
		w.wants()
	}
	w := newWorld(t)
	w.connect("a", "a1")
	bad := []string{`no JSON`, `{}`, `{"detail-type":"session.ended","detail":{}}`, `{"detail-type":"session.started","detail":{"sessionId":"b"}}`}
	if failed := w.deliver(append(bad, ended("a"))...); !slices.Equal(failed, []string{"0", "1", "2", "3"}) {
		t.Errorf("failed %q", failed)
	}
	w.wants()
}

// A handshake is refused if its connection cannot be stored, or if nobody can say whether the session has ended.
func TestHandler_faults(t *testing.T) {
	for _, call := range []string{"put", "ended"} {
		w := newWorld(t)
		w.away[call] = true
		if status := w.connect("a", "a1"); status != http.StatusInternalServerError {
			t.Errorf("%s is away: %d", call, status)
		}
	}
	w := newWorld(t)
	for kind, c := range map[string]struct{ session, id string }{"CONNECT": {"", "a1"}, "MESSAGE": {"", "a1"}, "DISCONNECT": {"a", ""}} {
		if status := w.event(kind, c.session, c.id); status != http.StatusInternalServerError {
			t.Errorf("%s without the authorizer: %d", kind, status)
		}
	}
	if _, err := sockets.Handler(w, time.Now, echo.Handler()).Invoke(t.Context(), []byte("x")); err == nil {
		t.Error("what is no event is served")
	}
}

func TestHandler_disconnect(t *testing.T) {
	w := newWorld(t)
	w.connect("a", "a1")
	if status := w.event("MESSAGE", "a", "a1"); status != http.StatusOK || w.stored("a") != 1 {
		t.Errorf("a message: %d", status)
	}
	for range 2 {
		if status := w.event("DISCONNECT", "a", "a1"); status != http.StatusOK || w.stored("a") != 0 {
			t.Errorf("a disconnect: %d", status)
		}
	}
	w.connect("a", "a1")
	w.away["remove"] = true
	if status := w.event("DISCONNECT", "a", "a1"); status != http.StatusInternalServerError {
		t.Errorf("a disconnect that fails: %d", status)
	}
}

// An end is forgotten after an hour.
func TestLocalTable(t *testing.T) {
	w := newWorld(t)
	w.deliver(ended("a"))
	w.now = w.now.Add(sockets.EndKept - time.Second)
	if status := w.connect("a", "a1"); status != http.StatusForbidden {
		t.Errorf("just before: %d", status)
	}
	w.now = w.now.Add(time.Second)
	w.deliver(ended("b"))
	if status := w.connect("a", "a1"); status != http.StatusOK {
		t.Errorf("after: %d", status)
	}
}
