package boot

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
	"latchkey/shared/seal"
	"latchkey/shared/secrets"
	"latchkey/shared/session"
)

// Service is the running system: an HTTP edge on a session store on Redis.
type Service struct {
	// API has the handlers.
	API *api.API

	redis redis.UniversalClient
	keys  *secrets.KeyRing // nil if the keys are in the environment
}

// NewService builds a service. It returns an error if a secret of Secrets
// Manager cannot be read: a service without keys can do nothing. It returns
// none if Redis is down: the handlers then answer 503 until it is back. It
// connects to Redis only while it waits for keys.
func NewService(ctx context.Context, cfg config.Config, env awsenv.Environment) (*Service, error) {
	if cfg.Redis.Addr == "" {
		return nil, errors.New("REDIS_HOST: is needed; only the local server embeds a Redis")
	}
	client, ring, keys, err := connect(ctx, cfg, env)
	if err != nil {
		return nil, err
	}
	rules := cfg.Session
	rules.Audit = api.Audit(env.Log, cfg.API.AuditLog)
	if keys != nil {
		rules.FetchKey = keys.FetchKey
	}
	store := session.NewStore(client, ring, rules, env.Now)
	return &Service{API: api.New(cfg.API, store, env.Log, env.Now), redis: client, keys: keys}, nil
}

// connect fetches the keys and connects to Redis, both at the same time. The
// keys are nil if they are in the environment.
func connect(
	ctx context.Context, cfg config.Config, env awsenv.Environment,
) (client redis.UniversalClient, ring *seal.Ring, keys *secrets.KeyRing, err error) {
	var errClient, errRing error
	var both sync.WaitGroup
	both.Go(func() { client, errClient = connectRedis(ctx, cfg, env) })
	both.Go(func() { ring, keys, errRing = loadKeys(ctx, cfg, env) })
	both.Wait()
	if err := errors.Join(errRing, errClient); err != nil {
		if client != nil {
			_ = client.Close()
		}
		return nil, nil, nil, err
	}
	return client, ring, keys, nil
}

func loadKeys(
	ctx context.Context, cfg config.Config, env awsenv.Environment,
) (*seal.Ring, *secrets.KeyRing, error) {
	if cfg.KeysSecretARN != "" {
		keys, err := secrets.NewKeyRing(ctx, cfg, env)
		if err != nil {
			return nil, nil, err
		}
		return keys.Ring(), keys, nil
	}
	secret, encryption := []byte(cfg.SessionSecret), []byte(cfg.EncryptionKey)
	ring, err := seal.NewRing(cfg.Session.Prefix, secret, seal.EnvironmentKey(secret, encryption))
	if err != nil {
		return nil, nil, fmt.Errorf("making key ring: %w", err)
	}
	return ring, nil, nil
}

func connectRedis(
	ctx context.Context, cfg config.Config, env awsenv.Environment,
) (redis.UniversalClient, error) {
	client, err := redisconn.New(ctx, cfg.Redis, env)
	if err != nil {
		return nil, err
	}
	if cfg.KeysSecretARN != "" {
		// Fetching the keys takes as long. The first request shows whether this
		// succeeded.
		_ = client.Ping(ctx).Err()
	}
	return client, nil
}

// WithKeyRefresh returns a function that fetches old keys again at the start of
// each invocation of f; see [secrets.KeyRing.WithRefresh]. If the keys are in
// the environment it returns f.
func (s *Service) WithKeyRefresh(f lambda.Handler) lambda.Handler {
	if s.keys == nil {
		return f
	}
	return s.keys.WithRefresh(f)
}

// Close ends the connections to Redis. Requests that are under way fail as if
// it were away.
func (s *Service) Close() error { return s.redis.Close() }
