package boot

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/seal"

	"latchkey/shared/config"
)

// What tests look at, and steer, that callers have no use for.

// Around is what a process finds around it.
type Around struct {
	Getenv func(string) string
	Now    func() time.Time
	Log    *slog.Logger
}

func (a Around) surroundings() surroundings { return surroundings{a.Getenv, a.Now, a.Log} }

// NewServiceIn is New.
func NewServiceIn(a Around, cfg config.Config) (*Service, error) {
	return newService(context.Background(), cfg, a.surroundings())
}

// NewRotationIn is the handler of RunRotation.
func NewRotationIn(a Around) (*Rotation, error) { return newRotation(a.surroundings()) }

// ClientIn is Client, with the password that Secrets Manager keeps where there is one.
func ClientIn(a Around, r config.Redis) (redis.UniversalClient, error) {
	return reachRedis(context.Background(), config.Config{Redis: r}, a.surroundings())
}

// ConnectToken is what a new connection shows to ElastiCache.
func ConnectToken(a Around, r config.Redis) (username, token string, err error) {
	return connectToken{surroundings: a.surroundings(), user: r.Username, cache: r.CacheName, serverless: r.Serverless}.
		credentials(context.Background())
}

// Learn, Has and Refresh are those of the service's keys.
func (s *Service) Learn(id seal.KeyID) error { return s.keys.learn(context.Background(), id) }

// Has tells whether the ring has a key.
func (s *Service) Has(id seal.KeyID) bool { return s.keys.ring.Has(id) }

// Refresh does what an invocation begins with.
func (s *Service) Refresh() { s.keys.refresh(context.Background()) }

// SendWhole makes a dialler's connections send chunked requests at once.
var SendWhole = sendWhole

// ParseCredential reads a password's secret.
func ParseCredential(text, username string) (string, string, error) {
	c, err := parseCredential(text, username)
	return c.username, c.password, err
}
