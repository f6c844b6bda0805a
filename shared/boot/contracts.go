package boot

import (
	"context"

	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/chain"
	"latchkey/shared/config"
	"latchkey/shared/secrets"
)

// NewVerifierClient returns a client of the function verify-signature, which has
// that ARN. It is verifierclient.New, or nil in a function that never asks about
// contract wallets. This package does not import verifierclient: every function
// would link AWS's client of Lambda.
type NewVerifierClient func(env awsenv.Environment, arn string) api.Contracts

// newContracts returns how chains are asked about contract wallets: by another
// function, or in this process. It returns nil if contract wallets are off, or
// if another function asks and newClient is nil. The second result follows a
// secret; it is nil if the URLs are in no secret.
func newContracts(
	ctx context.Context, cfg config.Config, env awsenv.Environment, newClient NewVerifierClient,
) (api.Contracts, *secrets.Chains, error) {
	wrongChain := func(uint64) {
		if cfg.API.Metric != nil {
			cfg.API.Metric(api.WrongChains, 1)
		}
	}
	switch c := cfg.Contracts; {
	case c.VerifierARN != "" && newClient != nil:
		return newClient(env, c.VerifierARN), nil, nil
	case c.RPCSecretARN != "":
		chains, err := secrets.NewChains(ctx, cfg, env, wrongChain)
		return chains, chains, err
	case c.RPC != nil:
		chains := cfg.Chains()
		chains.WrongChain = wrongChain
		v, err := chain.New(chains, env.Log, env.Now)
		return v, nil, err
	}
	return nil, nil, nil
}
