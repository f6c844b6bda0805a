package session

import (
	"context"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// The roles that are always there.
const (
	// RoleAdmin has every permission.
	RoleAdmin = "admin"
	// RoleUser is everybody's. It is never stored.
	RoleUser = "user"
)

// MaxRoles is how many bytes an account's roles may have, with a comma between each two.
const MaxRoles = 255

// SetRoles gives an account these roles and no others, also one that was never seen; together they have MaxRoles bytes at
// most, or it fails with ErrTooLarge. It fails with ErrLastAdmin where keepAdmin is set and nobody else could administer.
func (s *Store) SetRoles(ctx context.Context, address common.Address, roles []string, keepAdmin bool, actor Actor, only ...Condition) (User, error) {
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
