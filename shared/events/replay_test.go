package events_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/messages"
	"latchkey/local/test/redistest"
	"latchkey/shared/events"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func allTypes() (all []session.EventType) {
	for _, of := range events.Types() {
		all = append(all, of)
	}
	return all
}

// ids returns the ids of what arrived, in order.
func (s *sink) ids() (all []string) {
	for _, d := range s.got {
		all = append(all, d.Message.ID)
	}
	return all
}

// A replay sends what the account's activity has, in its order, with the same ids, and nothing of other accounts.
func TestReplay(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, first := newWorld(t, r), &sink{batch: 10}
		w.story()
		publish(t, w, first)
		account := token.KeyAccount(common.BigToAddress(big.NewInt(1)))
		user := w.UserOf(account)
		for name, of := range map[string]token.Reference{"account": {Account: account}, "user id": {User: user}} {
			s := &sink{batch: 10}
			done, err := events.Replay(ctx, w, of, allTypes(), messages.Wrap(t, s, nil), true)
			must(t, err)
			if ids := w.emitted[user.String()]; !slices.Equal(s.ids(), ids) || done != (events.Replayed{Sent: len(ids)}) || len(ids) == 0 {
				t.Errorf("by %s: sent %q, emitted %q, %+v", name, s.ids(), ids, done)
			}
			for _, d := range s.got {
				before := first.got[slices.IndexFunc(first.got, func(f events.Delivery) bool { return f.Message.ID == d.Message.ID })]
				want := before.Message
				want.Sequence, want.ChainID, want.Transport, want.Replayed, want.Account = 0, 0, "", true, of.Account.String()
				if of.Account == (token.Account{}) {
					want.Account = ""
				}
				if d.Message != want || d.Type != before.Type || !d.At.Equal(before.At) {
					t.Errorf("by %s: replayed %+v, first was %+v", name, d, before)
				}
			}
		}
		s := &sink{}
		done, err := events.Replay(ctx, w, token.Reference{User: user}, []session.EventType{session.EventEnded}, s, false)
		must(t, err)
		for _, d := range s.got {
			if d.Type != "session.ended" || d.Message.IP != "" || d.Message.Device != "" {
				t.Errorf("only ends without details: %+v", d)
			}
		}
		if done.Sent != 2 { // four logins, and two sessions at most
			t.Errorf("%+v", done)
		}
	})
}

// A sink that fails ends a replay. What it refuses is counted, and the rest is sent.
func TestReplay_sinkFails(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.story()
		of := token.Reference{Account: token.KeyAccount(common.BigToAddress(big.NewInt(1)))}
		ids := w.emitted[w.UserOf(of.Account).String()]
		result := events.Refused
		s := &sink{answer: func(d events.Delivery, _ int) events.Result {
			if d.Message.ID == ids[2] {
				return result
			}
			return events.Accepted
		}}
		done, err := events.Replay(ctx, w, of, allTypes(), s, true)
		if err != nil || done != (events.Replayed{Sent: len(ids) - 1, Refused: 1}) {
			t.Errorf("one refused: %+v, %v", done, err)
		}
		s.got, result = nil, events.Failed
		done, err = events.Replay(ctx, w, of, allTypes(), s, true)
		want := fmt.Sprintf("event 3 of %d was not accepted, and no later one was sent; replay again, which sends all of them: not accepted", len(ids))
		if err == nil || err.Error() != want || done.Sent != 2 || !slices.Equal(s.ids(), ids[:2]) {
			t.Errorf("one failed: %+v, %v, sent %q", done, err, s.ids())
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if done, err := events.Replay(ended, w, of, allTypes(), s, true); err == nil || done.Sent != 0 {
			t.Errorf("without time: %+v, %v", done, err)
		}
	})
}

// An account without an activity is an error that says what to look at.
func TestReplay_nothing(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.signIn(1)
		known := token.Reference{Account: token.KeyAccount(common.BigToAddress(big.NewInt(1)))}
		for name, c := range map[string]struct {
			of    token.Reference
			types []session.EventType
		}{
			"unknown account": {token.Reference{Account: token.KeyAccount(common.BigToAddress(big.NewInt(9)))}, allTypes()},
			"unknown user id": {token.Reference{User: token.UserID{9}}, allTypes()},
			"other types":     {known, []session.EventType{session.EventBlocked}},
			"no types":        {known, nil},
		} {
			s := &sink{}
			if done, err := events.Replay(ctx, w, c.of, c.types, s, true); !errors.Is(err, events.ErrNoActivity) || done != (events.Replayed{}) || s.got != nil {
				t.Errorf("%s: %+v, %v", name, done, err)
			}
		}
	})
}

// With the activity off there is nothing to replay, and of an erased account neither: its activity is erased with it.
func TestReplay_offAndErased(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		of := token.Reference{Account: token.KeyAccount(common.BigToAddress(big.NewInt(1)))}
		for name, most := range map[string]int{"off": 0, "erased": 100} {
			w, s := newWorld(t, r, func(o *session.Options) { o.ActivityMax = most }), &sink{}
			w.logins = most // both worlds are in one Redis
			w.signIn(1)
			must(t, w.Erase(ctx, w.UserOf(of.Account), session.Change{}))
			if _, err := events.Replay(ctx, w, of, allTypes(), s, true); !errors.Is(err, events.ErrNoActivity) || s.got != nil {
				t.Errorf("%s: %v, sent %q", name, err, s.ids())
			}
		}
	})
}

// Redis that is away is an error, and sends nothing.
type away struct{ *session.Store }

func (away) Activity(context.Context, token.UserID, string, int) ([]session.Event, string, error) {
	return nil, "", session.ErrUnavailable
}

func TestReplay_unavailable(t *testing.T) {
	s := &sink{}
	_, err := events.Replay(ctx, away{}, token.Reference{User: token.UserID{1}}, allTypes(), s, true)
	if !errors.Is(err, session.ErrUnavailable) || s.got != nil {
		t.Errorf("%v", err)
	}
}
