package lambdahttp

import (
	"context"
	"fmt"
)

// Sweep is a function that a schedule calls. It implements lambda.Handler.
type Sweep struct {
	sweep func(context.Context) error
}

// NewSweep returns a function that calls sweep for each event.
func NewSweep(sweep func(context.Context) error) *Sweep { return &Sweep{sweep: sweep} }

// Invoke implements lambda.Handler. It does not read the event, which says
// nothing. It returns the error of the sweep, which makes the invocation fail;
// Lambda's library logs it.
func (s *Sweep) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	ctx, cancel := WithReserve(ctx, 0)
	defer cancel()
	if err := s.sweep(ctx); err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	return []byte("null"), nil
}
