package boot_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/answers"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
)

// Drawn once for these tests; they open nothing.
const (
	secret = "vJ8r3TqXz0LmYw5KdB9sHfN2cPgUe7Ai"
	key    = "Q4x9WbZ1tRk6VnMj0Sg8FyCo3LpHd5Ea"

	keysARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/keys-AbCdEf"
)

// deployed is a complete configuration outside local, with changes; a change to
// "" unsets.
func deployed(changes ...string) map[string]string {
	env := map[string]string{
		"SESSION_SECRET":         secret,
		"SESSION_ENCRYPTION_KEY": key,
		"REDIS_HOST":             "cache.internal",
		"SIWE_DOMAINS":           "app.example.com",
	}
	for pair := range slices.Chunk(changes, 2) {
		env[pair[0]] = pair[1]
	}
	return env
}

func mustLoad(t *testing.T, env map[string]string) config.Config {
	t.Helper()
	cfg, err := config.Load(func(name string) string { return env[name] })
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return cfg
}

// newHandler is a handler as a function. All tests of this package that have a
// function in their own process take it from here, so that its answers are
// collected.
func newHandler(h http.Handler, domain string) lambda.Handler {
	return answers.Handler(lambdahttp.NewHandler(h, domain))
}
