package secrets

import (
	"context"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/seal"
)

// KeyRing is a key ring that follows the secret of its keys. It is safe for
// concurrent use.
type KeyRing struct {
	secret *Cached
	ring   *seal.Ring
}

// NewKeyRing fetches the keys of cfg.KeysSecretARN. Outside local it refuses
// keys whose secrets are plainly weak. Its error names the variable and holds
// nothing of a secret.
func NewKeyRing(ctx context.Context, cfg config.Config, env awsenv.Environment) (*KeyRing, error) {
	const variable = "SESSION_KEYS_SECRET_ARN"
	k := new(KeyRing)
	k.secret = NewCached(env, variable, cfg.KeysSecretARN, func(text string) error {
		next, err := ringOf(text, cfg.Session.Prefix, cfg.Local)
		switch {
		case err != nil:
			return err
		case k.ring == nil:
			k.ring = next
			return nil
		}
		return k.ring.Replace(next)
	})
	if err := k.secret.Start(ctx); err != nil {
		return nil, fmt.Errorf("%s: reading the keys: %w", variable, err)
	}
	return k, nil
}

// ringOf makes the ring of a document. Its error holds nothing of a secret.
func ringOf(text, scope string, local bool) (*seal.Ring, error) {
	d, err := seal.ParseDocument(text)
	if err != nil {
		return nil, err
	}
	for _, m := range d.Masters {
		if problem := config.Weakness(m.Secret); problem != "" && !local {
			return nil, fmt.Errorf("%s: %s", m.Name, problem)
		}
	}
	return d.Ring(scope)
}

// Ring returns the key ring. It is always the same one; its keys change.
func (k *KeyRing) Ring() *seal.Ring { return k.ring }

// FetchKey makes the ring have a key that it may not have yet, by fetching the
// secret at most once a minute. It returns [seal.ErrUnknownKey] if the secret
// does not have the key, and another error if the secret cannot be fetched.
// Callers that want the same new key at once cause one fetch. It is meant for
// session.Options.
func (k *KeyRing) FetchKey(ctx context.Context, id seal.KeyID) error {
	if err := k.secret.Lock(ctx); err != nil {
		return err
	}
	defer k.secret.Unlock()
	if k.ring.Has(id) {
		return nil // another caller was first
	}
	if err := k.secret.Renew(ctx); err != nil {
		return err
	}
	if !k.ring.Has(id) {
		return seal.ErrUnknownKey
	}
	return nil
}

// Refresh fetches the keys again if they are ten minutes old. If that fails,
// which is logged, the former keys stay in use.
func (k *KeyRing) Refresh(ctx context.Context) { k.secret.refresh(ctx) }

// WithRefresh returns a function that calls [KeyRing.Refresh] at the start of
// each invocation of f: nothing runs in a Lambda between two of them.
func (k *KeyRing) WithRefresh(f lambda.Handler) lambda.Handler {
	return withRefresh(f, k.secret)
}
