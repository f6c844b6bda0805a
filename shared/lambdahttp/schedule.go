package lambdahttp

import (
	"context"
	"fmt"
)

// Scheduled is a function that a schedule calls. It implements lambda.Handler.
type Scheduled func(context.Context) error

// Invoke implements lambda.Handler. It does not read the event, which says
// nothing. It returns the function's error, which makes the invocation fail;
// Lambda's library logs it.
func (s Scheduled) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	ctx, cancel := WithReserve(ctx, 0)
	defer cancel()
	if err := s(ctx); err != nil {
		return nil, err
	}
	return []byte("null"), nil
}

// Sweep is a function that a schedule calls. It implements lambda.Handler.
type Sweep func(context.Context) error

// Invoke implements lambda.Handler. It does not read the event, which says
// nothing. It returns the error of the sweep, which makes the invocation fail;
// Lambda's library logs it.
func (s Sweep) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	ctx, cancel := WithReserve(ctx, 0)
	defer cancel()
	if err := s(ctx); err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	return []byte("null"), nil
}
