package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/token"
)

// ListQuery selects accounts. The zero value selects all that hold roles or a
// block: the registry.
type ListQuery struct {
	// Live selects accounts with a live session, and Blocked accounts with a
	// block.
	Live, Blocked bool
	// Role selects accounts with that stored role, or with any if it is "*".
	Role string
}

// indexed reports whether the accounts are found in the index: all others are
// registered.
func (q ListQuery) indexed() bool { return q.Live && !q.Blocked && q.Role == "" }

// ListEntry is an account in a list.
type ListEntry struct {
	User User
	// Sessions is how many sessions are live, and LastSeenAt when one of them
	// was used last. LastSeenAt is the zero time if no session is live.
	Sessions   int
	LastSeenAt time.Time
	// BlockedAt and Note are as in [Account].
	BlockedAt time.Time
	Note      string
}

const (
	// listVisits is how many parts of the registry or the index one page looks
	// at, and listTogether how many of them one pipeline looks at.
	listVisits   = 4096
	listTogether = 64
	// listRead is how many accounts one pipeline reads.
	listRead = 32
)

// List returns one page of the accounts that a query selects, and the cursor of
// the next page, which is empty after the last. Accounts come in no order that
// means anything, each once. A page may have fewer accounts than limit, even
// none, and not be the last: it looks at limit accounts at most, and at a
// bounded part of the registry or the index. An account that is selected during
// all of the pages is on one of them.
//
// It returns [ErrNotFound] if the cursor is not one of such a list.
func (s *Store) List(
	ctx context.Context, q ListQuery, cursor string, limit int,
) ([]ListEntry, string, error) {
	at := position{indexed: q.indexed()}
	if cursor != "" {
		var ok bool
		if at, ok = parsePosition(cursor, q.indexed()); !ok {
			return nil, "", ErrNotFound
		}
	}
	users, next, err := s.walk(ctx, at, limit)
	if err != nil {
		return nil, "", err
	}
	list := []ListEntry{}
	for some := range slices.Chunk(users, listRead) {
		read, err := s.readListed(ctx, q, some)
		if err != nil {
			return nil, "", err
		}
		list = append(list, read...)
	}
	return list, next.cursor(), nil
}

// walk returns up to limit user ids, from a position on, and the position after
// them.
func (s *Store) walk(
	ctx context.Context, at position, limit int,
) (users []token.UserID, next position, err error) {
	// If positions have few accounts, more and more are looked at together.
	for visited, together := 0, 1; visited < listVisits && !at.isEnd(); {
		positions := at.following(together)
		found, err := s.membersAt(ctx, positions, limit)
		if err != nil {
			return nil, at, err
		}
		for i, p := range positions {
			room := limit - len(users)
			if len(found[i]) > room {
				p.after = found[i][room-1]
				return append(users, found[i][:room]...), p, nil
			}
			users, at = append(users, found[i]...), p.next()
			if len(users) == limit {
				return users, at, nil
			}
		}
		visited, together = visited+len(positions), min(2*together, listTogether)
	}
	return users, at, nil
}

// membersAt returns the members of each position behind the account after which
// it begins, sorted: all of an index segment, and one more than limit of a
// registry.
func (s *Store) membersAt(
	ctx context.Context, positions []position, limit int,
) ([][]token.UserID, error) {
	found := make([]*redis.StringSliceCmd, len(positions))
	err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for i, at := range positions {
			if at.indexed {
				found[i] = p.ZRange(ctx, s.indexKey(at.partition, at.segment), 0, -1)
				continue
			}
			found[i] = p.ZRangeArgs(ctx, redis.ZRangeArgs{
				Key: s.registryKey(at.partition), ByLex: true,
				Start: at.start(), Stop: "+", Count: int64(limit) + 1,
			})
		}
	})
	if err != nil {
		return nil, err
	}
	all := make([][]token.UserID, len(positions))
	for i, at := range positions {
		all[i] = at.behind(found[i].Val())
	}
	return all, nil
}

// listing is an account while it is read.
type listing struct {
	user    token.UserID
	raw     *redis.StringCmd // its record
	text    registryText
	rec     record
	live    []entry          // its sessions before both of their deadlines
	payload *redis.StringCmd // of the first of them; nil without a live session
}

// readListed reads accounts, and returns those that a query selects.
func (s *Store) readListed(
	ctx context.Context, q ListQuery, users []token.UserID,
) ([]ListEntry, error) {
	all := make([]listing, len(users))
	err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for i, user := range users {
			all[i] = listing{user: user, raw: p.Get(ctx, s.recordKey(user))}
			if !q.indexed() {
				all[i].text = s.queueText(ctx, p, partitionOf(user), string(user[:]))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	now, selected, list := s.now(), all[:0], []ListEntry{}
	for _, l := range all {
		l.rec, err = decodeRecord(l.raw.Val())
		if err == nil && q.selects(l.rec, now) {
			l.live = l.rec.unexpired(now)
			selected = append(selected, l)
		}
	}
	if err := s.readNames(ctx, selected); err != nil {
		return nil, err
	}
	for _, l := range selected {
		list = append(list, s.listEntry(ctx, l))
	}
	return list, nil
}

// selects reports whether a query selects an account.
func (q ListQuery) selects(rec record, now time.Time) bool {
	switch {
	case !q.indexed() && !rec.isRegistered(),
		q.Live && len(rec.unexpired(now)) == 0,
		q.Blocked && rec.blockedAt.IsZero(),
		q.Role == "*" && len(rec.roles) == 0:
		return false
	}
	return q.Role == "" || q.Role == "*" || slices.Contains(rec.roles, q.Role)
}

// unexpired returns the live sessions of a record before both of their
// deadlines.
func (rec record) unexpired(now time.Time) []entry {
	return slices.DeleteFunc(slices.Clone(rec.live), func(e entry) bool {
		_, _, due := e.expiry(now)
		return due
	})
}

// readNames reads the payload of a live session of each account, which has its
// name. The registry may lack it.
func (s *Store) readNames(ctx context.Context, all []listing) error {
	return s.pipeline(ctx, func(p redis.Pipeliner) {
		for i, l := range all {
			if len(l.live) > 0 {
				id := token.ID{User: l.user, Session: l.live[0].session}
				all[i].payload = p.Get(ctx, s.payloadKey(id))
			}
		}
	})
}

// listEntry returns an account that was read.
func (s *Store) listEntry(ctx context.Context, l listing) ListEntry {
	var account token.Account
	out := ListEntry{BlockedAt: l.rec.blockedAt, Sessions: len(l.live)}
	if l.text.name != nil {
		account, out.Note = s.openText(ctx, l.user, l.rec, l.text)
	}
	if l.payload != nil {
		id := token.ID{User: l.user, Session: l.live[0].session}
		if p, err := s.openPayload(ctx, id, l.live[0], l.payload.Val()); err == nil {
			account = p.account
		}
	}
	for _, e := range l.live {
		if e.seen.After(out.LastSeenAt) {
			out.LastSeenAt = e.seen
		}
	}
	out.User = l.rec.user(l.user, account)
	return out
}

// sortUsers returns members that are user ids, sorted.
func sortUsers(members []string) []token.UserID {
	users := make([]token.UserID, 0, len(members))
	slices.SortFunc(members, strings.Compare)
	for _, member := range members {
		if len(member) == len(token.UserID{}) {
			users = append(users, token.UserID([]byte(member)))
		}
	}
	return users
}
