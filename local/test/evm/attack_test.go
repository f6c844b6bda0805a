package evm_test

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/evm"
)

// created is the address at which the creation code runs: a call without a
// sender is one by the zero address.
var created = crypto.CreateAddress(common.Address{}, 0)

// Wrapped signatures of strangers whose account or factory is a special one.
func TestVerify_specialFactories(t *testing.T) {
	owner, wrong := evm.Sign(t, evm.Owner, evm.Digest), bytes.Repeat([]byte{1}, 65)
	rich := evm.Sign(t, evm.Rich, evm.Digest)
	wallet, factory := evm.AccountOf("OwnerWallet"), evm.AccountOf("Factory")
	multicall, idle := evm.AccountOf("Multicall"), evm.Calldata("idle()")
	takeOver := evm.Calldata("setOwner(address)", evm.AddressOf(evm.Rich).Bytes())
	for name, c := range map[string]struct {
		account   common.Address
		signature []byte
	}{
		"account runs the creation code":    {created, evm.Wrap(factory, idle, owner)},
		"both run the creation code":        {created, evm.Wrap(created, owner, owner)},
		"factory runs the creation code":    {wallet, evm.Wrap(created, nil, wrong)},
		"factory is the account":            {wallet, evm.Wrap(wallet, takeOver, rich)},
		"factory is the multicall":          {wallet, evm.Wrap(multicall, takeOver, rich)},
		"account is the multicall":          {multicall, evm.Wrap(multicall, owner, owner)},
		"account delegates to nothing":      {evm.AccountOf("DelegatedToNothing"), evm.Wrap(factory, idle, owner)},
		"account delegates to a precompile": {evm.AccountOf("DelegatedToPrecompile"), evm.Wrap(factory, idle, owner)},
		"factory is a precompile":           {evm.AccountOf("nothing"), evm.Wrap(common.Address{19: 4}, evm.Magic, owner)},
		"factory answers 1":                 {evm.AccountOf("nothing"), evm.Wrap(evm.AccountOf("Answers:1"), nil, owner)},
		"factory answers the magic value":   {evm.AccountOf("nothing"), evm.Wrap(evm.AccountOf("Answers:32"), nil, owner)},
	} {
		for mode, v := range overNode(t) {
			t.Run(mode+"/"+name, func(t *testing.T) { wantRefused(t, ask(t, v, c.account, c.signature)) })
		}
	}
}
