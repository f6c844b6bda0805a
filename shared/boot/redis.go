package boot

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// The client's deadlines. A trip takes at most a dial and a reply, and the store makes it at most twice: with a Redis that
// accepts and never answers, or whose packets vanish, the caller has its 503 after two to four of the 10 seconds that a
// function is given. A nearer deadline of the request's own cuts them short.
const (
	dialTimeout  = time.Second
	replyTimeout = 800 * time.Millisecond
	poolTimeout  = time.Second
)

// Connections are given up before anybody in between would. ElastiCache and NAT gateways drop idle ones after some
// minutes without a word, and over TLS the client cannot see that a socket is dead before it has sent a request into
// it. ElastiCache ends an authenticated connection after twelve hours.
const (
	idleTimeout = time.Minute
	lifetime    = 11 * time.Hour
)

// Client makes the Redis client of a configuration whose password is no secret of Secrets Manager. It connects when first
// used.
func Client(cfg config.Config) redis.UniversalClient {
	return newClient(cfg.Redis, awsenv.New(slog.Default()), nil)
}

// newClient makes a client. The password is nil where none is kept in Secrets Manager.
func newClient(r config.Redis, env awsenv.Environment, p *password) redis.UniversalClient {
	o := options(r)
	switch {
	case r.IAM:
		o.CredentialsProviderContext = connectToken{env: env, user: r.Username, cache: r.CacheName, serverless: r.Serverless}.credentials
	case p != nil:
		o.CredentialsProviderContext = p.credentials
	}
	var client redis.UniversalClient
	if r.Cluster {
		client = newCluster(o)
	} else {
		client = redis.NewClient(o.Simple())
	}
	if p != nil {
		client.AddHook(p)
	}
	return client
}

func options(r config.Redis) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:    []string{r.Addr},
		Username: r.Username,
		Password: string(r.Password),

		// Nothing here needs RESP3. With it the client looks for pushed messages around every command, which over TLS
		// it can only do by reading with a deadline.
		Protocol: 2,
		// No words to the server beyond HELLO: each is a round trip, and ElastiCache Serverless knows neither.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		// A repeated script whose reply was lost would run again behind the caller's back. Who calls knows which
		// operations may be repeated, and repeats them under the same operation id.
		MaxRetries:    -1,
		DialerRetries: 1,
		Dialer:        dialer(r),

		ContextTimeoutEnabled: true,
		DialTimeout:           dialTimeout,
		ReadTimeout:           replyTimeout,
		WriteTimeout:          replyTimeout,
		PoolTimeout:           poolTimeout,

		PoolSize:         r.PoolSize,
		PipelinePoolSize: -1, // pipelines share these connections: a second handshake would cost more than it saves
		MinIdleConns:     0,
		ConnMaxIdleTime:  idleTimeout,
		ConnMaxLifetime:  lifetime,
	}
}

// dialer connects within the context's deadline, TLS handshake included. go-redis' own looks at the context only
// without TLS.
func dialer(r config.Redis) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	dial := plain.DialContext
	if r.TLS {
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			secure := tls.Dialer{NetDialer: plain, Config: &tls.Config{ServerName: serverName(r, addr), MinVersion: tls.VersionTLS12}}
			return secure.DialContext(ctx, network, addr)
		}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return newUndialled(err), nil
		}
		return conn, nil
	}
}

// serverName is what a certificate must be for: the configured host, or in a cluster the node's own, which the cluster
// has named.
func serverName(r config.Redis, addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil && r.Cluster {
		return host
	}
	return r.Host
}

// undialled stands for a connection that could not be made: its first write fails with the reason.
//
// go-redis counts failed dials. After as many as the pool is large it dials no more on behalf of requests: it answers
// them with the last error until a goroutine of its own, which tries once a second, has reached the server. A Lambda is
// frozen between requests and that goroutine with it, so an instance that had seen Redis away could go on answering 503
// for as long as its traffic is thin. A dial that fails only in the handshake is not counted, and every request tries
// for itself.
type undialled struct {
	net.Conn
	reason error
}

func newUndialled(reason error) undialled {
	end, _ := net.Pipe() // for the methods that do nothing here: deadlines, addresses, Close
	return undialled{Conn: end, reason: reason}
}

// Write implements net.Conn.
func (u undialled) Write([]byte) (int, error) {
	return 0, fmt.Errorf("connecting: %w", u.reason)
}
