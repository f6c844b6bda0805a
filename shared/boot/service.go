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
	"latchkey/shared/events"
	"latchkey/shared/redisconn"
	"latchkey/shared/seal"
	"latchkey/shared/secrets"
	"latchkey/shared/session"
)

// Service is the running system: an HTTP edge on a session store on Redis.
type Service struct {
	// API has the handlers.
	API *api.API

	store *session.Store
	redis redis.UniversalClient
	fetched

	publishing sync.Mutex
	events     *events.Publisher // of the first call of Publish; nil before
}

// fetched are the parts of a service that Secrets Manager can hold. A part that
// the environment configures instead is nil, except contracts, which are set in
// both cases.
type fetched struct {
	contracts api.Contracts

	keys   *secrets.KeyRing
	origin *secrets.OriginSecret
	chains *secrets.Chains
}

// NewService builds a service. It returns an error if a secret of Secrets
// Manager cannot be read: a service without keys can do nothing. It returns
// none if Redis is down: the handlers then answer 503 until it is back. It
// connects to Redis only while it waits for keys.
//
// newClient may be nil if nobody signs in, steps up or refreshes through the
// service. Otherwise a verifier that the configuration names would not be asked.
func NewService(
	ctx context.Context, cfg config.Config, env awsenv.Environment, newClient NewVerifierClient,
) (*Service, error) {
	if cfg.Redis.Addr == "" {
		return nil, errors.New("REDIS_HOST: is needed; only the local server embeds a Redis")
	}
	client, ring, f, err := connect(ctx, cfg, env, newClient)
	if err != nil {
		return nil, err
	}
	rules, settings := cfg.Session, cfg.API
	rules.Audit = api.Audit(env.Log, cfg.API.AuditLog)
	if f.keys != nil {
		rules.FetchKey = f.keys.FetchKey
	}
	settings.CDN.Verify, settings.Contracts = f.verifier(cfg), f.contracts
	store := session.NewStore(client, ring, rules, env.Now)
	return &Service{
		API: api.New(settings, store, env.Log, env.Now), store: store, redis: client, fetched: f,
	}, nil
}

// connect fetches the secrets and connects to Redis, all at the same time.
func connect(
	ctx context.Context, cfg config.Config, env awsenv.Environment, newClient NewVerifierClient,
) (client redis.UniversalClient, ring *seal.Ring, f fetched, err error) {
	var errClient, errRing, errOrigin, errContracts error
	var all sync.WaitGroup
	all.Go(func() { client, errClient = connectRedis(ctx, cfg, env) })
	all.Go(func() { ring, f.keys, errRing = loadKeys(ctx, cfg, env) })
	if cfg.OriginVerifyARN != "" {
		all.Go(func() { f.origin, errOrigin = secrets.NewOriginSecret(ctx, cfg, env) })
	}
	all.Go(func() {
		f.contracts, f.chains, errContracts = newContracts(ctx, cfg, env, newClient)
	})
	all.Wait()
	if err := errors.Join(errRing, errOrigin, errContracts, errClient); err != nil {
		if client != nil {
			_ = client.Close()
		}
		return nil, nil, fetched{}, err
	}
	return client, ring, f, nil
}

// verifier returns the function that recognises requests of the CDN; nil if
// there is no CDN.
func (f fetched) verifier(cfg config.Config) func(context.Context, string) bool {
	switch {
	case f.origin != nil:
		return f.origin.Verify
	case len(cfg.OriginVerify) == 0:
		return nil
	}
	var values []string
	for _, value := range cfg.OriginVerify {
		values = append(values, string(value))
	}
	secret := api.NewOriginSecret(values)
	return func(_ context.Context, value string) bool { return secret.Has(value) }
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

// WithKeyRefresh returns a function that fetches old keys, an old secret of a
// CDN and old URLs of chains again at the start of each invocation of f; see
// [secrets.KeyRing.WithRefresh]. If none is in a secret it returns f.
func (s *Service) WithKeyRefresh(f lambda.Handler) lambda.Handler {
	if s.origin != nil {
		f = s.origin.WithRefresh(f)
	}
	if s.chains != nil {
		f = s.chains.WithRefresh(f)
	}
	if s.keys != nil {
		f = s.keys.WithRefresh(f)
	}
	return f
}

// Close ends the connections to Redis. Requests that are under way fail as if
// it were away.
func (s *Service) Close() error { return s.redis.Close() }
