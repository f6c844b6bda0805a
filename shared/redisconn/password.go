package redisconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/secrets"
)

// password is a credential of Redis in Secrets Manager. Every new connection
// uses the one that was fetched last. If Redis refuses it, it is fetched again,
// so connections that come after a rotation use the new one. It implements
// [redis.Hook] to see refusals.
type password struct {
	secret   *secrets.Cached
	current  credential
	renewals int // how often the credential has changed
}

type credential struct{ username, password string }

// newPassword fetches the credential.
func newPassword(ctx context.Context, r config.Redis, env awsenv.Environment) (*password, error) {
	const variable = "REDIS_PASSWORD_SECRET_ARN"
	p := new(password)
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

// renewedSince reports whether the credential has changed since that count, and
// fetches it to find out.
func (p *password) renewedSince(ctx context.Context, count int) bool {
	if p.secret.Lock(ctx) != nil {
		return false
	}
	defer p.secret.Unlock()
	if p.renewals == count {
		_ = p.secret.Renew(ctx) // Renew logs the error
	}
	return p.renewals != count
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
	return redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOAUTH")
}

// DialHook implements [redis.Hook].
func (p *password) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (p *password) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return p.retrying(ctx, func() error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (p *password) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return p.retrying(ctx, func() error { return next(ctx, cmds) })
	}
}
