package history

import (
	"context"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// queries are the lists that a driver walks in turn.
var queries = []session.ListQuery{{}, {Blocked: true}, {Role: "editor"}, {Live: true}}

// isRegistry reports whether a list shows notes.
func isRegistry(q session.ListQuery) bool { return q != session.ListQuery{Live: true} }

// listedTwice is the number of sessions in the answer about an account that a
// list shows more than once. The model has no such answer.
const listedTwice = -1

// list walks all pages of a list.
func list(
	ctx context.Context, s *session.Store, q session.ListQuery,
) (map[token.UserID]session.ListEntry, error) {
	all := map[token.UserID]session.ListEntry{}
	for cursor := ""; ; {
		page, next, err := s.List(ctx, q, cursor, 10)
		if err != nil {
			return nil, err
		}
		for _, entry := range page {
			if _, twice := all[entry.User.ID]; twice {
				entry.Sessions = listedTwice
			}
			all[entry.User.ID] = entry
		}
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
}

// listAnswer returns what a list shows of an account. The zero entry stands for
// an account that is not on it.
func listAnswer(account int, entry session.ListEntry) Answer {
	if entry.User.ID == (token.UserID{}) {
		return Answer{}
	}
	a := Answer{Listed: true, Roles: joined(entry.User), Count: entry.Sessions}
	if isAnother(entry.User, account) {
		a.Roles = anotherAccount
	}
	if a.Blocked = !entry.BlockedAt.IsZero(); a.Blocked {
		a.BlockedAt = entry.BlockedAt.Sub(begin)
	}
	return a
}

// isAnother reports whether a user has the name of another account. It may have
// none.
func isAnother(user session.User, account int) bool {
	return user.Account != (token.Account{}) && user.Account != accountOf(account)
}

// list walks one list. It is one operation for each account. The note is read
// at another moment than the rest, so it becomes an operation of its own.
func (h *run) list(ctx context.Context, q session.ListQuery) {
	op := Operation{
		Client: h.config.Clients + 1,
		Call:   Call{Kind: List, Number: int(h.operations.Add(1)), Now: h.tick(0), Query: q},
		Called: h.order.Add(1),
	}
	s := h.Store(op.Call.Now)
	all, err := list(ctx, s, q)
	op.Returned = h.order.Add(1)
	if err != nil {
		time.Sleep(10 * time.Millisecond) // nothing is changed or shown
		return
	}
	for _, op.Call.Account = range h.accounts {
		entry := all[s.UserOf(accountOf(op.Call.Account))]
		op.Call.Kind, op.Answer = List, listAnswer(op.Call.Account, entry)
		h.write(op, Attempts{})
		if op.Answer.Listed && isRegistry(q) {
			op.Call.Kind, op.Answer = ReadNote, Answer{Note: entry.Note}
			h.write(op, Attempts{})
		}
	}
}

// walkLists walks the lists one after the other while the clients are busy.
func (h *run) walkLists(ctx, busy context.Context) {
	for n := 0; busy.Err() == nil; n++ {
		h.list(ctx, queries[n%len(queries)])
	}
}
