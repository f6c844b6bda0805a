package boot

import (
	"context"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/awsenv"
	"latchkey/shared/seal"

	"latchkey/shared/config"
)

// What tests look at, and steer, that callers have no use for.

// NewRotationIn is the handler of RunRotation.
func NewRotationIn(env awsenv.Environment) (*Rotation, error) { return newRotation(env) }

// ClientIn is Client, with the password that Secrets Manager keeps where there is one.
func ClientIn(env awsenv.Environment, r config.Redis) (redis.UniversalClient, error) {
	return connectRedis(context.Background(), config.Config{Redis: r}, env)
}

// ConnectToken is what a new connection shows to ElastiCache.
func ConnectToken(env awsenv.Environment, r config.Redis) (username, token string, err error) {
	return connectToken{env: env, user: r.Username, cache: r.CacheName, serverless: r.Serverless}.
		credentials(context.Background())
}

// Learn, Has and Refresh are those of the service's keys.
func (s *Service) Learn(id seal.KeyID) error { return s.keys.learn(context.Background(), id) }

// Has tells whether the ring has a key.
func (s *Service) Has(id seal.KeyID) bool { return s.keys.ring.Has(id) }

// Refresh does what an invocation begins with.
func (s *Service) Refresh() { s.keys.refresh(context.Background()) }

// ParseCredential reads a password's secret.
func ParseCredential(text, username string) (string, string, error) {
	c, err := parseCredential(text, username)
	return c.username, c.password, err
}
