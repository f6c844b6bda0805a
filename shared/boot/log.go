package boot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/config"
)

// NewLogger returns a log that writes one line of JSON for each entry.
func NewLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, nil))
}

// LogLibraries turns what libraries print into entries of log. It acts on the
// whole process, so only a main calls it.
func LogLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	redis.SetLogger(clientLog{log})
}

// LogUnknown warns of environment variables that look like misspelt variables of
// the configuration. names are those of the environment.
func LogUnknown(log *slog.Logger, names []string) {
	if problems := config.Unknown(names); len(problems) > 0 {
		log.Warn("unknown variables", "problems", problems)
	}
}

// clientLog takes the messages of the Redis client about its connections.
type clientLog struct{ log *slog.Logger }

// Printf implements the interface that [redis.SetLogger] requires.
func (c clientLog) Printf(ctx context.Context, format string, args ...any) {
	c.log.WarnContext(ctx, "redis client", "detail", fmt.Sprintf(format, args...))
}

// lines lets a log and metrics write to one place, a whole line at a time.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements [io.Writer].
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(line)
}
