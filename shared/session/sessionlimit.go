package session

import (
	"strconv"
	"strings"
)

// SessionLimit returns the session limit that a configured one stands for: 0, and
// everything above [MaxSessions], stands for MaxSessions.
func SessionLimit(configured int) int {
	if configured <= 0 || configured > MaxSessions {
		return MaxSessions
	}
	return configured
}

// roleLimits are the limits that roles bring, as the script takes them.
func (s *Store) roleLimits() string {
	var pairs []string
	for role, limit := range s.opts.RoleLimits {
		pairs = append(pairs, role+"="+strconv.Itoa(SessionLimit(limit)))
	}
	return strings.Join(pairs, ",")
}
