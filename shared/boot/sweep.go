package boot

import (
	"context"
	"fmt"
)

// Sweep serves a schedule. It implements lambda.Handler.
type Sweep struct {
	sweep func(context.Context) error
}

// NewSweep calls sweep whenever the schedule says so.
func NewSweep(sweep func(context.Context) error) *Sweep { return &Sweep{sweep: sweep} }

// Invoke implements lambda.Handler. The event tells nothing and is not read. An error makes the invocation one that
// failed; Lambda's library logs it.
func (s *Sweep) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	if err := s.sweep(ctx); err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	return []byte("null"), nil
}
