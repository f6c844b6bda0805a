// Package redisconn makes the Redis client of a function: for one server or a
// cluster, with or without TLS, signed in with a password of the configuration
// or of Secrets Manager, or with an IAM token of ElastiCache.
package redisconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// The client's timeouts. A round trip takes at most a dial and a reply, and the
// store makes it at most twice. If Redis accepts connections and never replies,
// or its packets are lost, the caller gets 503 after two to four of the 10
// seconds that a function has. An earlier deadline of the request takes
// precedence.
const (
	dialTimeout  = time.Second
	replyTimeout = 800 * time.Millisecond
	poolTimeout  = time.Second
)

// Connections are closed before anything in between would drop them.
// ElastiCache and NAT gateways drop idle ones silently after some minutes, and
// over TLS the client cannot see that a socket is dead before it has sent a
// request. ElastiCache ends an authenticated connection after twelve hours.
const (
	idleTimeout = time.Minute
	lifetime    = 11 * time.Hour
)

// New makes a client. It does not connect: the client does so when it is first
// used. If r.PasswordSecretARN is set, New fetches the password, and returns an
// error that names the variable if it cannot.
//
// The client repeats no command, because only its caller knows what may be
// repeated. It repeats a call only if Redis refused the password and Secrets
// Manager has another one by now, since nothing of the call was done then. A
// cluster client also follows one redirect, and repeats a pipeline once.
func New(
	ctx context.Context, r config.Redis, env awsenv.Environment,
) (redis.UniversalClient, error) {
	o := options(r)
	var p *password
	switch {
	case r.IAM:
		o.CredentialsProviderContext = connectToken{r, env}.credentials
	case r.PasswordSecretARN != "":
		var err error
		if p, err = newPassword(ctx, r, env); err != nil {
			return nil, err
		}
		o.CredentialsProviderContext = p.credentials
	}
	d := &diagnosis{config: r, env: env, logged: map[string]time.Time{}}
	return newClient(o, r.Cluster, d, p), nil
}

// newClient makes a client for one server or a cluster. The password is nil if
// it is not in Secrets Manager. A hook sees what those after it return.
func newClient(
	o *redis.UniversalOptions, isCluster bool, d *diagnosis, p *password,
) (client redis.UniversalClient) {
	if !isCluster {
		client = redis.NewClient(o.Simple())
	} else {
		client = newCluster(o)
	}
	client.AddHook(d)
	if p != nil {
		client.AddHook(p)
	}
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.AddHook(showing{cluster})
	}
	return client
}

// opens reports whether the client sends a command to open a connection. The
// hooks see it too, within the command that requires the connection and returns
// its error.
func opens(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "auth" }

func options(r config.Redis) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:    []string{r.Addr},
		Username: r.Username,
		Password: string(r.Password),

		// Nothing here needs RESP3. With it the client looks for pushed
		// messages around every command, and over TLS it can only do that by
		// reading with a deadline.
		Protocol: 2,
		// No command but HELLO when a connection opens: each is a round trip,
		// and ElastiCache Serverless knows neither of these two.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		// A script whose reply was lost would run again without the caller's
		// knowledge. The caller knows what may be repeated, and repeats it with
		// the same idempotency key.
		MaxRetries:    -1,
		DialerRetries: 1,
		Dialer:        dialer(r),

		ContextTimeoutEnabled: true,
		DialTimeout:           dialTimeout,
		ReadTimeout:           replyTimeout,
		WriteTimeout:          replyTimeout,
		PoolTimeout:           poolTimeout,

		PoolSize: r.PoolSize,
		// Pipelines share the pool: a second handshake would cost more than it
		// saves.
		PipelinePoolSize: -1,
		MinIdleConns:     0,
		ConnMaxIdleTime:  idleTimeout,
		ConnMaxLifetime:  lifetime,
	}
}

// dialer connects within the context's deadline, including the TLS handshake.
// The one of go-redis respects the context only without TLS.
func dialer(r config.Redis) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	dial := plain.DialContext
	if r.TLS {
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			conn, err := plain.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return secure(ctx, conn, serverName(r, addr))
		}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			end, _ := net.Pipe() // for the methods that have nothing to do: deadlines, addresses, Close
			return undialled{end, err}, nil
		}
		return conn, nil
	}
}

// handshakeError says that a connection was made, and then no TLS.
type handshakeError struct{ reason error }

// Error implements the error interface.
func (e *handshakeError) Error() string { return "TLS handshake: " + e.reason.Error() }

// Unwrap returns the reason.
func (e *handshakeError) Unwrap() error { return e.reason }

// secure makes a TLS connection of a connection, or closes it.
func secure(ctx context.Context, conn net.Conn, name string) (net.Conn, error) {
	over := tls.Client(conn, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12})
	if err := over.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{err}
	}
	return over, nil
}

// serverName returns the name that the certificate must have: the configured
// host, or in a cluster the host of the node, as the cluster names it.
func serverName(r config.Redis, addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil && r.Cluster {
		return host
	}
	return r.Host
}

// undialled stands for a connection that could not be made. Its first write
// returns the reason.
//
// go-redis counts failed dials. After as many as the pool is large it no longer
// dials for a request: it returns the last error, until a goroutine of its own,
// which tries once a second, has connected. A Lambda is frozen between
// requests, and that goroutine with it. So an instance that once found Redis
// down could go on answering 503 for as long as it has little traffic. A dial
// that fails in the handshake is not counted, and every request tries for
// itself.
type undialled struct {
	net.Conn
	reason error
}

// Write implements [net.Conn].
func (u undialled) Write([]byte) (int, error) {
	return 0, fmt.Errorf("connecting: %w", u.reason)
}
