package session

import (
	"context"
	"slices"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Activity returns an account's events, newest first. It returns at most limit
// of them: those after the event with the id after, or the newest if after is
// empty. The second result is the id to continue after, or empty if there are
// no more events. Activity returns [ErrNotFound] if no event has the id after;
// it may have been dropped since. It takes one round trip.
func (s *Store) Activity(
	ctx context.Context, user token.UserID, after string, limit int,
) ([]Event, string, error) {
	var stored []string
	err := script.Retry(ctx, func() (err error) {
		stored, err = s.rdb.LRange(ctx, s.activityKey(user), 0, -1).Result()
		return err
	})
	if err != nil {
		return nil, "", err
	}
	events := s.events(ctx, user, stored)
	if after != "" {
		i := slices.IndexFunc(events, func(e Event) bool { return e.ID == after })
		if i < 0 {
			return nil, "", ErrNotFound
		}
		events = events[i+1:]
	}
	if len(events) <= limit {
		return events, "", nil
	}
	return events[:limit], events[limit-1].ID, nil
}

// withDetail returns an event with what the detail of its change has of it.
func (s *Store) withDetail(ctx context.Context, e Event, detail string) Event {
	actor, roles := s.openDetail(ctx, e.User, detail)
	if e.Actor.User != (token.UserID{}) {
		e.Actor.Account = actor
	}
	if e.Type == EventRoles && roles != nil {
		e.RolesBefore, e.RolesAfter = roles.before, roles.after
	}
	return e
}

// events decodes stored events, and leaves out those that are too old.
func (s *Store) events(ctx context.Context, user token.UserID, stored []string) []Event {
	oldest := s.now().Add(-s.opts.ActivityKeep)
	details := map[string]string{} // by idempotency key
	var events []Event
	for _, text := range stored {
		if isDetail(text) {
			details[idemOf(text)] = text
		}
		if len(text) < eventHeadSize {
			continue
		}
		e := eventOf(user, text[:eventHeadSize])
		if e.Time.Before(oldest) {
			continue
		}
		if sealed := text[eventHeadSize:]; sealed != "" {
			e.Actor = s.openActor(ctx, user, idemOf(text), sealed)
		}
		if detail, ok := details[idemOf(text)]; ok { // which is in front of its events
			e = s.withDetail(ctx, e, detail)
		}
		events = append(events, e)
	}
	return events
}
