package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/chain"
	"latchkey/shared/lazyregexp"
	"latchkey/shared/siwe"
	"latchkey/shared/strictjson"
)

// Contracts says how chains are asked about the signatures of contract wallets.
// At most one of RPC, RPCSecretARN and VerifierARN is set. If none is, contract
// wallets are off.
type Contracts struct {
	// RPC has the URLs of each chain, by chain id. They often carry keys.
	RPC map[uint64][]Secret
	// RPCSecretARN names the secret of Secrets Manager that holds the text of
	// ETHEREUM_RPC. [Config.ParseRPC] reads it.
	RPCSecretARN string
	// VerifierARN names the Lambda function that asks the chains. It is for
	// functions that cannot reach them, or should not.
	VerifierARN string
	// Multicall, Gas and Quorum are those of [chain.Config].
	Multicall map[uint64]common.Address
	Gas       int
	Quorum    int
}

// asks reports whether this process asks the chains itself.
func (c Contracts) asks() bool { return c.RPC != nil || c.RPCSecretARN != "" }

// Chains returns how to ask the chains of RPC.
func (c Config) Chains() chain.Config {
	o := chain.Config{
		RPC: map[uint64][]string{}, Multicall: c.Contracts.Multicall,
		Gas: uint64(c.Contracts.Gas), Quorum: c.Contracts.Quorum, AllowHTTP: c.Local,
	}
	for id, urls := range c.Contracts.RPC {
		o.RPC[id] = []string{} // no URLs are a problem
		for _, u := range urls {
			o.RPC[id] = append(o.RPC[id], string(u))
		}
	}
	return o
}

// ParseRPC returns how to ask the chains of a text of the form of ETHEREUM_RPC,
// with the other settings of c. Its error has one line for each problem. No
// line contains a URL.
func (c Config) ParseRPC(text string) (chain.Config, error) {
	rpc, err := parseRPC(text, c.Local)
	if err != nil {
		return chain.Config{}, err
	}
	c.Contracts.RPC = rpc
	chains := c.Chains()
	return chains, chains.Check()
}

// verifierVariables are what the function reads that asks the chains.
var verifierVariables = []string{
	"APP_ENV", "ETHEREUM_RPC", "ETHEREUM_RPC_SECRET_ARN", "ETHEREUM_RPC_QUORUM",
	"ETHEREUM_MULTICALL", "ETHEREUM_CALL_GAS",
}

// LoadVerifier is [Load] for the function that asks the chains. It reads the
// variables of the chains alone, and ETHEREUM_RPC or ETHEREUM_RPC_SECRET_ARN
// must be set.
func LoadVerifier(getenv func(string) string) (Config, error) {
	c, err := load(getenv, slices.DeleteFunc(slices.Clone(variables), func(v variable) bool {
		return !slices.Contains(verifierVariables, v.name)
	}))
	if err == nil && !c.Contracts.asks() {
		return Config{}, errors.New("ETHEREUM_RPC_SECRET_ARN: is needed, or ETHEREUM_RPC;" +
			" set one of them to the URLs of the chains")
	}
	return c, err
}

const (
	rpcForm       = `{"1":["https://rpc.example.com"]}`
	multicallForm = `{"1":"0xcA11bde05977b3631167028862bE2a173976CA11"}`
)

// setRPC stores a refused value as no chains: otherwise variables that need it
// would be further problems.
func setRPC(c *Config, text string) (err error) {
	if text == "" {
		return nil
	}
	if c.Contracts.RPC, err = parseRPC(text, c.Local); err != nil {
		c.Contracts.RPC = map[uint64][]Secret{}
	}
	return err
}

func parseRPC(text string, local bool) (map[uint64][]Secret, error) {
	rpc, err := readChains(text, rpcForm, func(id uint64, value any) ([]Secret, error) {
		items, ok := value.([]any)
		urls := make([]Secret, 0, len(items))
		for _, item := range items {
			u, isText := item.(string)
			ok = ok && isText
			urls = append(urls, Secret(u))
		}
		if !ok {
			return nil, fmt.Errorf("chain %d has no list of URLs; write it as %s", id, rpcForm)
		}
		return urls, nil
	})
	read := Config{Local: local, Contracts: Contracts{RPC: rpc}}
	return rpc, errors.Join(err, read.Chains().Check())
}

func setMulticall(c *Config, text string) (err error) {
	if text == "" {
		return nil
	}
	c.Contracts.Multicall, err = readChains(text, multicallForm,
		func(id uint64, value any) (common.Address, error) {
			written, _ := value.(string)
			address, err := siwe.ParseAddress(written)
			var wrong *siwe.SyntaxError
			if errors.As(err, &wrong) {
				return address, fmt.Errorf("the address of chain %d is not valid: %s", id, wrong.Reason)
			}
			return address, err
		})
	return err
}

// readChains reads JSON from chain id to a value. It returns those that it
// could read, and every problem. It does not repeat what it read: that may be a
// URL in the wrong place.
func readChains[T any](
	text, form string, read func(id uint64, value any) (T, error),
) (map[uint64]T, error) {
	chains := map[uint64]T{}
	parsed, err := strictjson.Parse([]byte(text))
	if twice := (*strictjson.Error)(nil); errors.As(err, &twice) {
		if id, ok := parseChainID(twice.Name); ok && twice.Reason == strictjson.ErrDuplicateName {
			return chains, fmt.Errorf("chain %d is listed twice; remove one", id)
		}
	}
	members, _ := parsed.(map[string]any)
	if len(members) == 0 {
		return chains, errors.New("is not JSON of the form " + form)
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		id, ok := parseChainID(name)
		if !ok {
			problems = append(problems, errors.New("has a name that is not a chain id;"+
				" use decimal numbers from 1, as in "+form))
			continue
		}
		if chains[id], err = read(id, members[name]); err != nil {
			delete(chains, id)
			problems = append(problems, err)
		}
	}
	return chains, errors.Join(problems...)
}

// parseChainID reads a chain id. It compares it as text too, so that "01" is
// refused.
func parseChainID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 10, 64)
	ok := err == nil && id >= 1 && id <= siwe.MaxChainID && strconv.FormatUint(id, 10) == text
	return id, ok
}

var functionARN = lazyregexp.New(
	`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_$-]{1,128})?$`)

func setVerifierARN(c *Config, value string) error {
	c.Contracts.VerifierARN = value
	if value != "" && !functionARN().MatchString(value) {
		return errors.New("is not the ARN of a Lambda function;" +
			" write it as arn:aws:lambda:<region>:<account>:function:<name>")
	}
	return nil
}

// contradictions checks that the values of contract wallets fit together.
func (c Contracts) contradictions(check func(broken bool, problem string)) {
	check(c.RPC != nil && c.RPCSecretARN != "",
		"ETHEREUM_RPC_SECRET_ARN: is set together with ETHEREUM_RPC; set only one of them")
	check(c.VerifierARN != "" && c.asks(),
		"SIGNATURE_VERIFIER_ARN: is set together with ETHEREUM_RPC or ETHEREUM_RPC_SECRET_ARN;"+
			" the verifier has its own; set only one of them")
	const needed = " without ETHEREUM_RPC or ETHEREUM_RPC_SECRET_ARN; set one of them or leave it out"
	check(len(c.Multicall) > 0 && !c.asks(), "ETHEREUM_MULTICALL: has no effect"+needed)
	check(c.Quorum > 1 && !c.asks(), "ETHEREUM_RPC_QUORUM: has no effect"+needed)
	for _, id := range slices.Sorted(maps.Keys(c.RPC)) {
		n := len(c.RPC[id])
		check(n < c.Quorum, fmt.Sprintf("ETHEREUM_RPC_QUORUM: is %d, and chain %d has only %d in"+
			" ETHEREUM_RPC; lower it or add URLs", c.Quorum, id, n))
	}
	for _, id := range slices.Sorted(maps.Keys(c.Multicall)) {
		_, has := c.RPC[id]
		check(len(c.RPC) > 0 && !has, fmt.Sprintf("ETHEREUM_MULTICALL: has chain %d, which"+
			" ETHEREUM_RPC has not; add its URLs there or leave it out", id))
	}
}
