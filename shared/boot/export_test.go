package boot

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// New builds a service in the environment of the process, with that log.
func New(cfg config.Config, log *slog.Logger) (*Service, error) {
	return NewService(context.Background(), cfg, awsenv.New(log), nil)
}

// Has reports whether the service's key ring has a key.
func (s *Service) Has(id seal.KeyID) bool { return s.keys.Ring().Has(id) }

// WaitLonger makes the service wait for a reply as long as a busy machine
// needs. It must be called before the service is used.
func (s *Service) WaitLonger() {
	o := s.redis.(*redis.Client).Options()
	o.ReadTimeout, o.WriteTimeout = time.Minute, time.Minute
}

// NewLines returns what a function gives to its log and its metrics to write to.
func NewLines(w io.Writer) io.Writer { return &lines{w: w} }

// NewVerifier makes the function that asks chains.
var NewVerifier = newVerifier

// LogClient logs a message as the Redis client does.
func LogClient(log *slog.Logger, message string) {
	clientLog{log}.Printf(context.Background(), "%s", message)
}

// SignIn signs an account in, past the API.
func (s *Service) SignIn(ctx context.Context, login session.Login) (session.Grant, error) {
	return s.store.Create(ctx, login)
}

// Publisher is the function that publishes events.
func (s *Service) Publisher(
	cfg config.Config, env awsenv.Environment, newBus NewBus,
) lambda.Handler {
	return s.publisher(cfg, env, newBus)
}

// ReplayOf reads whose events a payload asks for.
var ReplayOf = replayOf
