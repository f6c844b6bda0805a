package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/api"
	"latchkey/shared/config"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// Service is the running system: an HTTP edge over a session store over Redis.
type Service struct {
	// API makes the handlers.
	API *api.API

	redis redis.UniversalClient
	keys  *keeper // nil where the keys are in the environment
}

// New builds a service. It fails where secrets of Secrets Manager cannot be had: a service without keys can do nothing.
// A Redis that is away is no failure: the handlers answer 503, and find it again. It is connected to only while a secret
// is waited for.
func New(cfg config.Config, log *slog.Logger) (*Service, error) {
	return newService(context.Background(), cfg, here(log))
}

func newService(ctx context.Context, cfg config.Config, s surroundings) (*Service, error) {
	if cfg.Redis.Addr == "" {
		return nil, errors.New("REDIS_HOST: is needed; only the local server has a Redis of its own")
	}
	client, ring, keys, err := reach(ctx, cfg, s)
	if err != nil {
		return nil, err
	}
	rules := cfg.Session
	rules.Audit = api.Audit(s.log, cfg.API.AuditLog)
	if keys != nil {
		rules.Learn = keys.learn
	}
	store := session.NewStore(client, ring, rules, s.now)
	return &Service{API: api.New(cfg.API, store, s.log, s.now), redis: client, keys: keys}, nil
}

// reach gets the keys and the connection to Redis side by side.
func reach(ctx context.Context, cfg config.Config, s surroundings) (client redis.UniversalClient, ring *seal.Ring, keys *keeper, err error) {
	var errClient, errRing error
	var both sync.WaitGroup
	both.Go(func() { client, errClient = reachRedis(ctx, cfg, s) })
	both.Go(func() { ring, keys, errRing = reachKeys(ctx, cfg, s) })
	both.Wait()
	if err := errors.Join(errRing, errClient); err != nil {
		if client != nil {
			_ = client.Close()
		}
		return nil, nil, nil, err
	}
	return client, ring, keys, nil
}

func reachKeys(ctx context.Context, cfg config.Config, s surroundings) (*seal.Ring, *keeper, error) {
	if cfg.KeysSecretARN != "" {
		keys, err := newKeeper(ctx, cfg, s)
		if err != nil {
			return nil, nil, err
		}
		return keys.ring, keys, nil
	}
	secret, encryption := []byte(cfg.SessionSecret), []byte(cfg.EncryptionKey)
	ring, err := seal.NewRing(cfg.Session.Prefix, secret, seal.EnvironmentKey(secret, encryption))
	if err != nil {
		return nil, nil, fmt.Errorf("making key ring: %w", err)
	}
	return ring, nil, nil
}

func reachRedis(ctx context.Context, cfg config.Config, s surroundings) (redis.UniversalClient, error) {
	var secret *password
	if cfg.Redis.PasswordSecretARN != "" {
		var err error
		if secret, err = newPassword(ctx, cfg.Redis, s); err != nil {
			return nil, err
		}
	}
	client := newClient(cfg.Redis, s, secret)
	if cfg.KeysSecretARN != "" {
		// The keys take as long to come. Whether this succeeds shows at the first request.
		_ = client.Ping(ctx).Err()
	}
	return client, nil
}

// Keep is a function with its keys looked after as each invocation begins; where keys are in the environment, it is the
// function itself.
func (s *Service) Keep(f lambda.Handler) lambda.Handler {
	if s.keys == nil {
		return f
	}
	return refreshing{Handler: f, keys: s.keys}
}

// Close ends the connections to Redis. Requests that are under way fail as if it were away.
func (s *Service) Close() error { return s.redis.Close() }

// NewLogger writes JSON, one line an entry.
func NewLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, nil))
}
