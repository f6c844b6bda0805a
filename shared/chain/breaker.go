package chain

import (
	"sync"
	"time"
)

// When the breaker of a chain stops calls, and for how long.
const (
	troublesToPause = 3
	pause           = 10 * time.Second
)

// breaker stops the calls to a chain after several troubles in a row. After the
// pause calls go on, and the next trouble begins another one.
type breaker struct {
	mu       sync.Mutex
	troubles int // in a row
	until    time.Time
}

// wait returns how long the pause goes on, or 0 outside a pause.
func (b *breaker) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.until.Sub(now))
}

// succeed ends the row.
func (b *breaker) succeed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles, b.until = 0, time.Time{}
}

// fail counts a trouble.
func (b *breaker) fail(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.troubles++; b.troubles >= troublesToPause {
		b.until = now.Add(pause)
	}
}
