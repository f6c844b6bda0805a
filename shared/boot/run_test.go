package boot_test

import (
	"math"
	"runtime/debug"
	"testing"

	"latchkey/shared/boot"
)

func TestCollectLess(t *testing.T) {
	usual := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(usual); debug.SetMemoryLimit(math.MaxInt64) })
	for _, c := range []struct {
		env     map[string]string
		percent int
		limit   int64
	}{
		{map[string]string{}, 400, math.MaxInt64},
		{map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}, 400, 192 << 20},
		{map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "much"}, 400, math.MaxInt64},
		{map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "GOGC": "100", "GOMEMLIMIT": "1GiB"}, 100, math.MaxInt64},
	} {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
		boot.CollectLess(func(name string) string { return c.env[name] })
		percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
		if percent != c.percent || limit != c.limit {
			t.Errorf("%v: %d %%, %d bytes; want %d and %d", c.env, percent, limit, c.percent, c.limit)
		}
	}
}
