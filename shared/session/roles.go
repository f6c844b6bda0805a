package session

import (
	"context"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// The roles that always exist.
const (
	// RoleAdmin has every permission.
	RoleAdmin = "admin"
	// RoleUser is the role that everybody has. It is never stored.
	RoleUser = "user"
)

// MaxRoles is the most bytes that an account's roles may have, with the commas
// between them.
const MaxRoles = 255

// SetRoles replaces the roles of an account, which may have never signed in. It
// returns [ErrTooLarge] if the roles have more than [MaxRoles] bytes, and
// [ErrLastAdmin] if keepAdmin is set and no other account could administer.
func (s *Store) SetRoles(
	ctx context.Context, address common.Address, roles []string, keepAdmin bool,
	actor Actor, only ...Condition,
) (User, error) {
	user, text := s.UserOf(address), strings.Join(roles, ",")
	if len(text) > MaxRoles {
		return User{}, ErrTooLarge
	}
	stays := slices.Contains(roles, RoleAdmin)
	r, err := s.changeAccount(ctx, s.newTransaction(user, actor), accountChange{
		script: rolesScript, dropsAdmin: !stays, keepAdmin: keepAdmin, addsAdmin: stays, only: only,
		ask: func(c *transaction, _ record, decided string) { c.args = []any{text, decided} },
	})
	if err != nil {
		return User{}, err
	}
	rec, err := decodeRecord(r.Text(1))
	return rec.user(user, address), err
}
