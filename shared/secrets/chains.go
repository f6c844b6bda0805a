package secrets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/awsenv"
	"latchkey/shared/chain"
	"latchkey/shared/config"
)

// Chains asks the chains whose URLs are in Secrets Manager, and follows their
// secret. It is safe for concurrent use.
type Chains struct {
	secret  *Cached
	text    string
	current atomic.Pointer[chain.Verifier]
}

// NewChains fetches the URLs of cfg.Contracts.RPCSecretARN. wrongChain is that
// of [chain.Config]. Its error names the variable and has no URL.
func NewChains(
	ctx context.Context, cfg config.Config, env awsenv.Environment, wrongChain func(uint64),
) (*Chains, error) {
	const variable = "ETHEREUM_RPC_SECRET_ARN"
	c := new(Chains)
	c.secret = NewCached(env, variable, cfg.Contracts.RPCSecretARN, func(text string) error {
		if text == c.text && c.current.Load() != nil {
			return nil // what is known of the URLs stays
		}
		chains, err := cfg.ParseRPC(text)
		if err != nil {
			return fmt.Errorf("the secret: %w", oneLine(err))
		}
		chains.WrongChain = wrongChain
		next, err := chain.New(chains, env.Log, env.Now)
		if err != nil {
			return fmt.Errorf("the secret: %w", oneLine(err))
		}
		c.text = text
		c.current.Store(next)
		return nil
	})
	if err := c.secret.Start(ctx); err != nil {
		return nil, fmt.Errorf("%s: reading the URLs: %w", variable, err)
	}
	return c, nil
}

// oneLine puts several problems into one line, for the log.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// Verify asks the chains as [chain.Verifier.Verify] does.
func (c *Chains) Verify(ctx context.Context, q chain.Question) error {
	return c.current.Load().Verify(ctx, q)
}

// WithRefresh returns a function that fetches the URLs again at the start of an
// invocation of f if they are ten minutes old.
func (c *Chains) WithRefresh(f lambda.Handler) lambda.Handler { return withRefresh(f, c.secret) }
