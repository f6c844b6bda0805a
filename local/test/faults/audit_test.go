package faults_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// full is a disk that is.
type full struct{ refused *int }

func (f full) Write([]byte) (int, error) {
	*f.refused++
	return 0, errors.New("no space left on device")
}

// A log that cannot be written stops nobody: each change is answered, and its event stands in the activity, where it was
// written in the step of the change (attack case 68).
func TestLogDown(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		refused, events := 0, 0
		down := api.Audit(slog.New(slog.NewJSONHandler(full{&refused}, nil)), true)
		w := newWorld(t, e.Server(t), nil, func(o *session.Options) {
			journal := o.Audit
			o.Audit = func(ctx context.Context, e session.Event) {
				events++
				journal(ctx, e)
				down(ctx, e)
			}
		})
		w.rehearse()
		if events == 0 || refused != events {
			t.Errorf("of %d events the log refused %d", events, refused)
		}
	})
}

// An activity that Redis does not let be written refuses the change: the record stays as it was, an admin's act is refused
// as a login is (attack case 68). What ends one session closes it first, whatever comes of the rest. An activity that is
// damaged is another matter: it begins anew; see shared/session.
func TestAuditRefused(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		w := newWorld(t, own.Redis, nil)
		for _, a := range acts {
			if len(a.events) == 0 || strings.HasPrefix(a.name, "erasure") { // after which nothing remains
				continue
			}
			tr := w.try(a)
			before := w.rdb.Get(ctx, w.recordKey(tr.user)).Val()
			setUser(t, own, "-lpush")
			unavailable(t, tr.name, func(context.Context) error { _, err := tr.ask(); return err })
			setUser(t, own, "+lpush")
			if w.rdb.Get(ctx, w.recordKey(tr.user)).Val() != before {
				t.Errorf("%s: its event was refused, and it happened", tr.name)
			}
			if closes := slices.Contains([]string{"logout", "revoke", "theft", "store reset"}, a.name); w.closed(tr.user) != closes {
				t.Errorf("%s: its event was refused, and that its session is closed is %v", tr.name, !closes)
			}
			if a.name == "theft" || a.name == "store reset" { // whose token opens nothing any more
				if got, err := tr.ask(); got != "unknown" && !slices.Contains(tr.answers, got) {
					t.Errorf("%s: asked again, answered %q, %v", tr.name, got, err)
				}
			} else {
				tr.settled("with an activity again", false)
				w.checkComplete()
			}
			w.clear()
		}
	})
}

// closed tells whether an account lists a session without a payload, which opens to nobody.
func (w *world) closed(u token.UserID) bool {
	w.t.Helper()
	rec, err := parseRecord(w.rdb.Get(ctx, w.recordKey(u)).Val())
	return err == nil && slices.ContainsFunc(rec.live, func(l liveEntry) bool { return w.rdb.Exists(ctx, w.key(u, "s"+l.random)).Val() == 0 })
}
