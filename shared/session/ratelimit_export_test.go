package session

import (
	"context"
	"net/netip"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Failures are the failed logins of the last day.
func (s *Store) Failures(ctx context.Context) (total int, err error) {
	failed, err := s.failures(ctx, hourOf(s.now()))
	for _, n := range failed {
		total += n
	}
	return total, err
}

// CountLogin counts a login of an account.
func (s *Store) CountLogin(ctx context.Context, limit int, u token.UserID) error {
	return s.countAlone(ctx, s.accountRate(loginRate, limit, u))
}

// CountRefresh counts a refresh of an account from an address.
func (s *Store) CountRefresh(ctx context.Context, limit int, u token.UserID, ip netip.Addr) error {
	return s.countAlone(ctx, s.accountNetworkRate(refreshRate, limit, u, ip))
}

func (s *Store) countAlone(ctx context.Context, limit rateLimit) error {
	c := limit.count(s.now())
	if err := script.Pipeline(ctx, s.rdb, c); err != nil {
		return err
	}
	return limit.result(c.Reply)
}
