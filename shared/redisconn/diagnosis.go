package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// logAgainAfter is how long the same cause is not logged again.
const logAgainAfter = time.Minute

// diagnosis logs the likely cause of an error that the configuration can cause,
// with the variables to look at: an error of Redis or of the network names
// none. It implements [redis.Hook].
type diagnosis struct {
	config config.Redis
	env    awsenv.Environment
	// answered is set once Redis has answered anything. From then on the
	// network's errors are outages.
	answered atomic.Bool

	mu     sync.Mutex
	logged map[string]time.Time // by cause
}

// cause is what is likely wrong, and which variables to look at, separated by
// commas. The zero cause stands for an error that says enough itself.
type cause struct{ text, variables string }

// The texts of the causes that [Check] advises on.
const (
	notCluster      = "the server is not a cluster"
	clusterNode     = "the server is a node of a cluster"
	untrustedServer = "the server's certificate is not valid for the host"
	refusesUser     = "the server refuses the user or its password"
	noTLS           = "the port does not answer in TLS"
	nothingThere    = "nothing can be connected to at this address"
	notRedis        = "what answers is not Redis"
	expectsTLS      = "the server hangs up without an answer: it may expect TLS"
	isReplica       = "the server is a replica"
)

// diagnose logs the likely cause of an error, unless it was logged within the
// last minute.
func (d *diagnosis) diagnose(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		d.answered.Store(true)
		return
	}
	found := d.causeOf(err)
	if found.text == "" || !d.shouldLog(found) {
		return
	}
	d.env.Log.WarnContext(ctx, "likely cause", "cause", found.text,
		"variables", found.variables, "error", err.Error())
}

// shouldLog reports whether a cause was not logged within the last minute, and
// assumes that it is logged now.
func (d *diagnosis) shouldLog(c cause) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.env.WallTime()
	since := now.Sub(d.logged[c.text])
	if since >= 0 && since < logAgainAfter {
		return false
	}
	d.logged[c.text] = now
	return true
}

func (d *diagnosis) causeOf(err error) cause {
	var reply redis.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &reply):
		d.answered.Store(true)
		return d.replyCause(reply.Error())
	case errors.As(err, &untrusted):
		return cause{untrustedServer, "REDIS_HOST, REDIS_TLS"}
	case d.answered.Load():
		return cause{}
	}
	return d.networkCause(err)
}

// replyCause returns the cause of an error reply.
func (d *diagnosis) replyCause(text string) cause {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case has("cluster support disabled"):
		return cause{notCluster, "REDIS_CLUSTER"}
	case !d.config.Cluster && has("MOVED ", "ASK ", "non local key"):
		return cause{clusterNode, "REDIS_CLUSTER"}
	case isCredentialRefused(text):
		return cause{refusesUser, d.credentialVariables()}
	case has("DENIED "):
		return cause{"the server is in protected mode: it requires a user or a password",
			d.credentialVariables()}
	case has("NOPERM ", "The user executing the script", "ACL failure in script"):
		if has("permissions to access", "can't access") {
			return cause{"the user may not access keys with this prefix",
				"REDIS_USERNAME, REDIS_KEY_PREFIX"}
		}
		return cause{"the user may not run a command", "REDIS_USERNAME"}
	case has("READONLY ", "MASTERDOWN ", "REDIRECT ", "stale replica"):
		return cause{isReplica, "REDIS_HOST"}
	}
	return cause{}
}

// isCredentialRefused reports whether an error reply refuses the user or its
// password. Redis had other words for it before version 6.
func isCredentialRefused(text string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(text, prefix) }
	return slices.ContainsFunc([]string{
		"WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH",
	}, begins)
}

// credentialVariables returns the variables that a new connection signs in
// with.
func (d *diagnosis) credentialVariables() string {
	switch {
	case d.config.IAM:
		return "REDIS_USERNAME, REDIS_CACHE_NAME, REDIS_SERVERLESS"
	case d.config.PasswordSecretARN != "":
		return "REDIS_USERNAME, REDIS_PASSWORD_SECRET_ARN"
	}
	return "REDIS_USERNAME, REDIS_PASSWORD"
}

// networkCause returns the cause of an error of the network, before Redis has
// answered anything.
func (d *diagnosis) networkCause(err error) cause {
	var handshake *handshakeError
	var dial *net.OpError
	switch {
	case errors.As(err, &handshake):
		return cause{noTLS, "REDIS_TLS, REDIS_PORT"}
	case errors.As(err, &dial) && dial.Op == "dial":
		return cause{nothingThere, "REDIS_HOST, REDIS_PORT"}
	case strings.HasPrefix(err.Error(), "redis: can't parse"):
		return cause{notRedis, "REDIS_HOST, REDIS_PORT"}
	case !d.config.TLS && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return cause{expectsTLS, "REDIS_TLS"}
	}
	return cause{}
}

// DialHook implements [redis.Hook].
func (d *diagnosis) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (d *diagnosis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !opens(cmd) {
			d.diagnose(ctx, err)
		}
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (d *diagnosis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		d.diagnose(ctx, err)
		for _, cmd := range cmds {
			d.diagnose(ctx, cmd.Err())
		}
		return err
	}
}
