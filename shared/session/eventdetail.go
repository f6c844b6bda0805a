package session

import (
	"context"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// A detail is what the events of a change have besides their heads and actor:
// the actor's account, and the roles before and after. It is an entry of its
// own in the activity, with the idempotency key of its events; see detailOf in
// lua/lib/events.lua. Earlier versions could not open an actor with more in it,
// and would show the owner where an admin is.
//
// It is sealed, and has four fields, each a length byte and that many bytes:
//
//	account | 1 if roles were set | roles before | roles after

// rolesChange is what a change of roles replaces, and by what.
type rolesChange struct{ before, after []string }

// sealDetail returns the sealed detail of a transaction. It returns nothing if
// the transaction has no detail, or if there is no activity.
func (s *Store) sealDetail(c transaction) ([]byte, error) {
	if s.opts.ActivityMax == 0 || c.actor.Account == (token.Account{}) && c.roles == nil {
		return []byte{}, nil
	}
	var account []byte
	if c.actor.Account != (token.Account{}) {
		account = encodeAccount(c.actor.Account)
	}
	var before, after, set string
	if c.roles != nil {
		set = "1"
		before, after = strings.Join(c.roles.before, ","), strings.Join(c.roles.after, ",")
	}
	var plain []byte
	for _, field := range []string{string(account), set, before, after} {
		plain = append(append(plain, byte(len(field))), field...)
	}
	return s.keys.Seal(s.keys.Current(c.now), detailOf(c.user, string(c.idem[:])), plain)
}

func detailOf(user token.UserID, idem string) seal.Record {
	return seal.Record{Kind: "detail", Owner: user[:], Facts: []byte(idem)}
}

// isDetail reports whether an entry of an activity is a detail.
func isDetail(entry string) bool {
	return len(entry) > eventHeadSize && entry[:7] == strings.Repeat("\x00", 7)
}

// idemOf returns the idempotency key of an entry of an activity.
func idemOf(entry string) string { return entry[7 : 7+script.KeySize] }

// openDetail opens a stored detail. It returns nothing if that does not open.
func (s *Store) openDetail(
	ctx context.Context, user token.UserID, entry string,
) (actor token.Account, roles *rolesChange) {
	rest, err := s.open(ctx, detailOf(user, idemOf(entry)), []byte(entry[eventHeadSize:]))
	if err != nil {
		return token.Account{}, nil
	}
	var fields [4]string
	for i := range fields {
		value, after, ok := field(rest)
		if !ok {
			return token.Account{}, nil
		}
		fields[i], rest = string(value), after
	}
	actor, _, _ = decodeAccountOf([]byte(fields[0]))
	if fields[1] != "" {
		roles = &rolesChange{splitRoles(fields[2]), splitRoles(fields[3])}
	}
	return actor, roles
}

// splitRoles returns the roles of a comma-separated text. The result is never
// nil: an empty text has no roles.
func splitRoles(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}
