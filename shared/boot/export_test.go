package boot

import (
	"context"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/seal"
)

// What tests look at, and steer, that callers have no use for.

// ClientIn is Client, with the password that Secrets Manager keeps where there is one.
func ClientIn(env awsenv.Environment, r config.Redis) (redis.UniversalClient, error) {
	return connectRedis(context.Background(), config.Config{Redis: r}, env)
}

// ConnectToken is what a new connection shows to ElastiCache.
func ConnectToken(env awsenv.Environment, r config.Redis) (username, token string, err error) {
	return connectToken{env: env, user: r.Username, cache: r.CacheName, serverless: r.Serverless}.
		credentials(context.Background())
}

// ParseCredential reads a password's secret.
func ParseCredential(text, username string) (string, string, error) {
	c, err := parseCredential(text, username)
	return c.username, c.password, err
}

// Has reports whether the service's key ring has a key.
func (s *Service) Has(id seal.KeyID) bool { return s.keys.Ring().Has(id) }
