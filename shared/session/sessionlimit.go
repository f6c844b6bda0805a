package session

import (
	"strconv"
	"strings"
)

// EffectiveLimit returns the session limit for a configured one. 0 or less, and
// anything above [MaxSessions], means MaxSessions.
func EffectiveLimit(configured int) int {
	if configured <= 0 || configured > MaxSessions {
		return MaxSessions
	}
	return configured
}

// roleLimits returns the session limits of roles as the script takes them.
func (s *Store) roleLimits() string {
	var pairs []string
	for role, limit := range s.opts.RoleLimits {
		pairs = append(pairs, role+"="+strconv.Itoa(EffectiveLimit(limit)))
	}
	return strings.Join(pairs, ",")
}
