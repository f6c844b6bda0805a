package boot

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/awsenv"
	"latchkey/shared/seal"

	"latchkey/shared/config"
)

// refreshAfter is how old an instance's keys may be when an invocation begins. A key that was taken away opens nothing
// after that long, and a new one is known to every instance before it becomes active, see activationDelay.
const refreshAfter = 10 * time.Minute

// keeper keeps a key ring in step with the secret that it comes from.
type keeper struct {
	source
	ring *seal.Ring
}

// newKeeper fetches the keys.
func newKeeper(ctx context.Context, cfg config.Config, env awsenv.Environment) (*keeper, error) {
	k := new(keeper)
	k.source = newSource(env, "SESSION_KEYS_SECRET_ARN", cfg.KeysSecretARN, func(text string) error {
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
	if err := k.start(ctx); err != nil {
		return nil, fmt.Errorf("%s: reading the keys: %w", k.variable, err)
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

// learn implements session.Options.Learn. Callers that meet a new key at once have it fetched once.
func (k *keeper) learn(ctx context.Context, id seal.KeyID) error {
	if err := k.hold(ctx); err != nil {
		return err
	}
	defer k.release()
	if k.ring.Has(id) {
		return nil // another caller was first
	}
	if err := k.renew(ctx); err != nil {
		return err
	}
	if !k.ring.Has(id) {
		return seal.ErrUnknownKey
	}
	return nil
}

// refresh fetches the keys anew where they are old. Where that fails, the former ones serve on.
func (k *keeper) refresh(ctx context.Context) {
	if k.hold(ctx) != nil {
		return
	}
	defer k.release()
	if since := k.env.WallTime().Sub(k.taken); since < 0 || since >= refreshAfter {
		_ = k.renew(ctx) // which logs it
	}
}

// refreshing is a function whose keys are looked after as each invocation begins: between two of them nothing runs.
type refreshing struct {
	lambda.Handler
	keys *keeper
}

// Invoke implements lambda.Handler.
func (r refreshing) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	r.keys.refresh(ctx)
	return r.Handler.Invoke(ctx, payload)
}
