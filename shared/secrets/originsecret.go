package secrets

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// OriginSecret is the shared secret of a CDN, and follows its secret in Secrets
// Manager. It is safe for concurrent use.
type OriginSecret struct {
	secret  *Cached
	current atomic.Pointer[api.OriginSecret]
}

// NewOriginSecret fetches the values of cfg.OriginVerifyARN. Outside local it
// refuses values that are plainly weak. Its error names the variable and holds
// no value.
func NewOriginSecret(
	ctx context.Context, cfg config.Config, env awsenv.Environment,
) (*OriginSecret, error) {
	const variable = "ORIGIN_VERIFY_SECRET_ARN"
	o := new(OriginSecret)
	o.secret = NewCached(env, variable, cfg.OriginVerifyARN, func(text string) error {
		values, err := config.ParseOriginVerify(text, cfg.Local)
		if err != nil {
			return fmt.Errorf("the secret %w", err)
		}
		next := api.NewOriginSecret(values)
		o.current.Store(&next)
		return nil
	})
	if err := o.secret.Start(ctx); err != nil {
		return nil, fmt.Errorf("%s: reading the values: %w", variable, err)
	}
	return o, nil
}

// Verify reports whether value is one of the secret's. For an unknown value it
// fetches the secret again, at most once a minute, so that a new value is
// accepted without a restart. Known values never wait for that. It is meant for
// api.CDN.
func (o *OriginSecret) Verify(ctx context.Context, value string) bool {
	if o.current.Load().Has(value) {
		return true
	}
	if o.secret.Lock(ctx) != nil {
		return false
	}
	defer o.secret.Unlock()
	if !o.current.Load().Has(value) { // otherwise another caller was first
		_ = o.secret.Renew(ctx) // Renew logs the error
	}
	return o.current.Load().Has(value)
}

// WithRefresh returns a function that fetches the values again at the start of
// an invocation of f if they are ten minutes old. After that time a removed
// value is refused.
func (o *OriginSecret) WithRefresh(f lambda.Handler) lambda.Handler {
	return withRefresh(f, o.secret)
}
