package boot

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/api"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// Service is the running system: an HTTP edge over a session store over Redis.
type Service struct {
	// API makes the handlers.
	API *api.API

	redis redis.UniversalClient
}

// New builds a service. It connects to nothing: a Redis that is away is answered with 503 by the handlers, and found
// again by them.
func New(cfg Config, log *slog.Logger) (*Service, error) {
	if cfg.Redis.Addr == "" {
		return nil, errors.New("REDIS_HOST: is needed; only the local server has a Redis of its own")
	}
	secret, encryption := []byte(cfg.SessionSecret), []byte(cfg.EncryptionKey)
	ring, err := seal.NewRing(cfg.Session.Prefix, secret, seal.EnvironmentKey(secret, encryption))
	if err != nil {
		return nil, fmt.Errorf("making key ring: %w", err)
	}
	client := Client(cfg)
	rules := cfg.Session
	rules.Audit = api.Audit(log, cfg.API.AuditLog)
	store := session.NewStore(client, ring, rules, time.Now)
	return &Service{API: api.New(cfg.API, store, log, time.Now), redis: client}, nil
}

// Close ends the connections to Redis. Requests that are under way fail as if it were away.
func (s *Service) Close() error { return s.redis.Close() }

// NewLogger writes JSON, one line an entry.
func NewLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, nil))
}
