package events

import (
	"context"
	"time"
)

// Once works through all outboxes once, and returns the partitions that have more.
func (p *Publisher) Once(ctx context.Context) ([]int, error) {
	p.queue, p.stuck = everywhere(), nil
	_, err := p.spell(ctx, p.now().Add(time.Hour))
	return distinct(p.queue, p.stuck), err
}

// Done returns what was done until now.
func (p *Publisher) Done() Progress { return p.done }

// Refusals is how often a message is refused before it is given up.
const Refusals = refusals

// Statuses returns about how many events a publisher knows something.
func (p *Publisher) Statuses() (n int) {
	for _, of := range p.known {
		n += len(of)
	}
	return n
}
