package events

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Activities is where a replay finds events; see [session.Store].
type Activities interface {
	UserOf(account token.Account) token.UserID
	Activity(
		ctx context.Context, user token.UserID, after string, limit int,
	) ([]session.Event, string, error)
}

// maxReplayed is the most events that an activity can hold.
const maxReplayed = 500

// Replayed says what a replay sent.
type Replayed struct {
	// Sent is how many messages the sink accepted, and Refused how many it
	// refused for what they are.
	Sent    int `json:"sent"`
	Refused int `json:"refused"`
}

// ErrNoActivity says that the activity of an account has no event that is
// published.
var ErrNoActivity = errors.New("the account's activity has no event that is published; " +
	"is the account right, and are ACTIVITY_MAX_EVENTS and EVENT_TYPES set?")

// Replay sends the events of an account's activity to a sink once more: those
// of the given types, oldest first, with the ids that they have. The messages
// are marked, and have neither sequence nor chain nor transport, which an
// activity does not hold. Each is sent after the one before was accepted or
// refused.
//
// It returns [ErrNoActivity], [session.ErrUnavailable], or an error if the sink
// fails. It then stops: the messages before were sent.
func Replay(
	ctx context.Context, from Activities, of token.Reference, types []session.EventType, to Sink,
	details bool,
) (Replayed, error) {
	var done Replayed
	user := of.User
	if of.Account != (token.Account{}) {
		user = from.UserOf(of.Account)
	}
	all, _, err := from.Activity(ctx, user, "", maxReplayed)
	if err != nil {
		return done, fmt.Errorf("reading the activity: %w", err)
	}
	all = slices.DeleteFunc(all, func(e session.Event) bool {
		return !slices.Contains(types, e.Type)
	})
	if len(all) == 0 {
		return done, ErrNoActivity
	}
	for i, e := range slices.Backward(all) {
		e.Account = of.Account
		m := New(session.Outgoing{Event: e}, details)
		m.Replayed = true
		results, err := to.Send(ctx, []Delivery{{TypeOf(e.Type), m, e.Time}})
		switch {
		case len(results) == 1 && results[0] == Accepted:
			done.Sent++
		case len(results) == 1 && results[0] == Refused:
			done.Refused++
		default:
			return done, fmt.Errorf("event %d of %d was not accepted, and no later one was sent;"+
				" replay again, which sends all of them: %w", len(all)-i, len(all), err)
		}
	}
	return done, nil
}
