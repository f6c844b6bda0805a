package events

import (
	"context"
	"log/slog"
)

// Log writes each message to a log, for local use.
type Log struct{ log *slog.Logger }

// NewLog returns a sink that writes to a log.
func NewLog(log *slog.Logger) Log { return Log{log} }

// Batch implements [Sink].
func (Log) Batch() int { return 100 }

// Send implements [Sink].
func (l Log) Send(ctx context.Context, all []Delivery) ([]Result, error) {
	results := make([]Result, len(all))
	for i, d := range all {
		l.log.LogAttrs(ctx, slog.LevelInfo, "published",
			slog.String("detailType", string(d.Type)), slog.Any("detail", d.Message))
		results[i] = Accepted
	}
	return results, nil
}
