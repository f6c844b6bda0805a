package api_test

import (
	"testing"
	"time"

	"latchkey/shared/api"
)

func TestTimestamp(t *testing.T) {
	zone := time.FixedZone("", 90*60)
	at := time.Date(2026, 3, 1, 0, 30, 0, 0, zone)
	for _, later := range []time.Duration{
		0, 1, time.Microsecond, time.Millisecond, 7 * time.Millisecond, 10 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond,
		123456789, 999 * time.Millisecond, time.Second - 1, time.Second, 366 * 24 * time.Hour, -time.Nanosecond, -time.Second,
	} {
		when := at.Add(later)
		if got, want := api.Timestamp(when), when.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%v is %s, want %s", when, got, want)
		}
	}
}
