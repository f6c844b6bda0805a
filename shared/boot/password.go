package boot

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

// password is Redis' credential out of Secrets Manager. Every new connection takes what is held, and where Redis refuses
// that, it is fetched anew: so a credential that was rotated is taken up by those that come after. It implements
// redis.Hook, to see refusals.
type password struct {
	secret   *secrets.Cached
	held     credential
	renewals int // how often the credential became another one
}

type credential struct{ username, password string }

// newPassword fetches the credential.
func newPassword(ctx context.Context, r config.Redis, env awsenv.Environment) (*password, error) {
	const variable = "REDIS_PASSWORD_SECRET_ARN"
	p := new(password)
	p.secret = secrets.NewCached(env, variable, r.PasswordSecretARN, func(text string) error {
		next, err := parseCredential(text, r.Username)
		if err == nil && next != p.held {
			p.held = next
			p.renewals++
		}
		return err
	})
	if err := p.secret.Start(ctx); err != nil {
		return nil, fmt.Errorf("%s: reading the password: %w", variable, err)
	}
	return p, nil
}

// parseCredential reads a password as it stands, or a JSON object with a password and, where it has one, a username, which
// then counts instead of the configured one. Other members are whoever's who rotates the secret.
func parseCredential(text, username string) (credential, error) {
	var members struct{ Username, Password *string }
	switch err := json.Unmarshal([]byte(text), &members); {
	case text == "":
		return credential{}, errors.New("the secret is empty")
	case err != nil:
		return credential{username, text}, nil
	case members.Password == nil || *members.Password == "":
		return credential{}, errors.New("the secret is JSON and has no password in it")
	case members.Username != nil:
		username = *members.Username
	}
	return credential{username, *members.Password}, nil
}

// credentials is what a new connection shows: redis.Options.CredentialsProviderContext.
func (p *password) credentials(ctx context.Context) (username, secret string, err error) {
	if err := p.secret.Lock(ctx); err != nil {
		return "", "", err
	}
	defer p.secret.Unlock()
	return p.held.username, p.held.password, nil
}

// count is how often the credential has changed so far.
func (p *password) count(ctx context.Context) int {
	if p.secret.Lock(ctx) != nil {
		return 0
	}
	defer p.secret.Unlock()
	return p.renewals
}

// renewedSince tells whether the credential is another one than at that count, and fetches it to find out.
func (p *password) renewedSince(ctx context.Context, count int) bool {
	if p.secret.Lock(ctx) != nil {
		return false
	}
	defer p.secret.Unlock()
	if p.renewals == count {
		_ = p.secret.Renew(ctx) // which logs it
	}
	return p.renewals != count
}

// retrying runs a call, and once more where Redis refused the credential and there is another one. Such a connection has
// refused to open, so nothing of the call was done.
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

// DialHook implements redis.Hook.
func (p *password) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (p *password) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return p.retrying(ctx, func() error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements redis.Hook.
func (p *password) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return p.retrying(ctx, func() error { return next(ctx, cmds) })
	}
}
