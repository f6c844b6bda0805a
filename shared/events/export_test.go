package events

import "context"

// Once publishes what is in all outboxes, and returns the partitions that have more.
func (p *Publisher) Once(ctx context.Context) ([]int, error) { return p.publish(ctx, everywhere()) }

// Done returns what was done until now.
func (p *Publisher) Done() Progress { return p.done }

// Refusals is how often a message is refused before it is given up.
const Refusals = refusals
