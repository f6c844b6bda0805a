package redisconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/secrets"
)

// password is a credential of Redis in Secrets Manager. Every new connection
// uses the one that was fetched last. If Redis refuses it, it is fetched again
// at once, and again after pauses while it stays the same. So a rotation may
// change it in Redis or in the secret first. It implements
// [redis.Hook] to see refusals.
type password struct {
	secret   *secrets.Cached
	clock    func() time.Time
	current  credential
	renewals int // how often the credential has changed
	backoff  backoff
}

type credential struct{ username, password string }

// newPassword fetches the credential.
func newPassword(ctx context.Context, r config.Redis, env awsenv.Environment) (*password, error) {
	const variable = "REDIS_PASSWORD_SECRET_ARN"
	p := &password{clock: env.WallTime}
	p.secret = secrets.NewCached(env, variable, r.PasswordSecretARN, func(text string) error {
		next, err := parseCredential(text, r.Username)
		if err == nil && next != p.current {
			p.current = next
			p.renewals++
		}
		return err
	})
	if err := p.secret.Start(ctx); err != nil {
		return nil, fmt.Errorf("%s: reading the password: %w", variable, err)
	}
	return p, nil
}

// parseCredential reads the text of a secret: a password as it is, or a JSON
// object with a password and possibly a username, which replaces the configured
// one. Other members are ignored: they belong to whatever rotates the secret.
func parseCredential(text, username string) (credential, error) {
	var members struct{ Username, Password *string }
	switch err := json.Unmarshal([]byte(text), &members); {
	case text == "":
		return credential{}, errors.New("the secret is empty")
	case err != nil:
		return credential{username, text}, nil
	case members.Password == nil || *members.Password == "":
		return credential{}, errors.New(
			"the secret is JSON without a password; add the member password")
	case members.Username != nil:
		username = *members.Username
	}
	return credential{username, *members.Password}, nil
}

// credentials returns what a new connection signs in with. It implements
// CredentialsProviderContext of [redis.Options].
func (p *password) credentials(ctx context.Context) (username, secret string, err error) {
	if err := p.secret.Lock(ctx); err != nil {
		return "", "", err
	}
	defer p.secret.Unlock()
	return p.current.username, p.current.password, nil
}

// count returns how often the credential has changed so far.
func (p *password) count(ctx context.Context) int {
	if p.secret.Lock(ctx) != nil {
		return 0
	}
	defer p.secret.Unlock()
	return p.renewals
}

// renewedSince reports whether the credential has changed since that count. It
// fetches it to find out, unless a fetch that ended just now found the former
// one. So callers that are refused at once cause one fetch.
func (p *password) renewedSince(ctx context.Context, count int) bool {
	if p.secret.Lock(ctx) != nil {
		return false
	}
	defer p.secret.Unlock()
	if p.renewals == count && p.backoff.hasPassed(p.clock()) {
		_ = p.secret.Fetch(ctx) // Fetch logs the error
		if p.renewals == count {
			p.backoff.extend(p.clock())
		} else {
			p.backoff = backoff{}
		}
	}
	return p.renewals != count
}

// The pauses between fetches of a credential that Redis refuses and that stays
// the same. A rotation that changes it in Redis first is noticed soon, and a
// credential that stays wrong costs a call a minute.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// backoff is a pause that doubles each time. The zero backoff has no pause.
type backoff struct {
	since time.Time
	pause time.Duration
}

// hasPassed reports whether the pause is over. It is if the clock was set back.
func (b backoff) hasPassed(now time.Time) bool {
	elapsed := now.Sub(b.since)
	return elapsed < 0 || elapsed >= b.pause
}

// extend begins the next pause. It is the first one again if the last one ended
// long ago.
func (b *backoff) extend(now time.Time) {
	if now.Sub(b.since) >= 2*longestPause {
		b.pause = 0
	}
	b.pause = min(max(firstPause, 2*b.pause), longestPause)
	b.since = now
}

// retrying runs a call, and runs it again if Redis refused the credential and
// there is another one by now. The connection did not open, so nothing of the
// call was done.
func (p *password) retrying(ctx context.Context, call func() error) error {
	before := p.count(ctx)
	err := call()
	if refused(err) && p.renewedSince(ctx, before) {
		err = call()
	}
	return err
}

func refused(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && isCredentialRefused(reply.Error())
}

// DialHook implements [redis.Hook].
func (p *password) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (p *password) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if opens(cmd) {
			return next(ctx, cmd)
		}
		return p.retrying(ctx, func() error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (p *password) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return p.retrying(ctx, func() error { return next(ctx, cmds) })
	}
}
