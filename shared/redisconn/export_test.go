package redisconn

import (
	"context"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// ConnectToken returns what a new connection sends to ElastiCache.
func ConnectToken(env awsenv.Environment, r config.Redis) (username, token string, err error) {
	return connectToken{r, env}.credentials(context.Background())
}

// ParseCredential reads the text of a password's secret.
func ParseCredential(text, username string) (string, string, error) {
	c, err := parseCredential(text, username)
	return c.username, c.password, err
}
