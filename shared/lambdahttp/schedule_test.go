package lambdahttp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/shared/lambdahttp"
)

func TestSweep_stopsBeforeItsDeadline(t *testing.T) {
	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	sweep := lambdahttp.Sweep(func(ctx context.Context) error {
		given, ok := ctx.Deadline()
		if left := deadline.Sub(given); !ok || left < 100*time.Millisecond || left > 2*time.Second {
			t.Errorf("%v kept back", left)
		}
		return nil
	})
	if result, err := sweep.Invoke(ctx, []byte(`{}`)); err != nil || string(result) != "null" {
		t.Errorf("answered %q, %v", result, err)
	}
}

// What the schedule sends is not looked at, so nothing in it can fail or steer
// a sweep.
func TestSweep_ignoresItsEvent(t *testing.T) {
	calls := 0
	sweep := lambdahttp.Sweep(func(context.Context) error { calls++; return nil })
	payloads := []string{"", "null", "{", `{"requestContext":{"http":{"method":"GET"}}}`, "\xff"}
	for _, payload := range payloads {
		if _, err := sweep.Invoke(context.Background(), []byte(payload)); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	}
	if calls != len(payloads) {
		t.Errorf("swept %d times", calls)
	}
}

func TestSweep_fails(t *testing.T) {
	away := errors.New("away")
	sweep := lambdahttp.Sweep(func(context.Context) error { return away })
	if result, err := sweep.Invoke(context.Background(), nil); !errors.Is(err, away) || result != nil {
		t.Errorf("answered %q, %v", result, err)
	}
}
