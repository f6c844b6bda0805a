package token

import (
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/siwe"
)

// Account is who a signature speaks for. The account of a key is the same on
// all chains. The account of a contract is on one chain: at the same address on
// another chain there may be somebody else's contract. So code that asks "is
// this the same account" compares accounts, and never addresses.
type Account struct {
	Address common.Address
	// Chain is the EIP-155 id of a contract's chain, or 0 for the account of a
	// key.
	Chain uint64
}

// Wallet is how an account signs.
type Wallet string

// The wallets.
const (
	// EOA is an externally owned account: it signs with its key. So does an
	// account that delegates to a contract (EIP-7702), if its key signs.
	EOA Wallet = "eoa"
	// Contract is an account whose contract decides about signatures
	// (ERC-1271).
	Contract Wallet = "contract"
)

// KeyAccount returns the account of an address's key.
func KeyAccount(address common.Address) Account { return Account{Address: address} }

// Wallet returns how the account signs.
func (a Account) Wallet() Wallet {
	if a.Chain == 0 {
		return EOA
	}
	return Contract
}

// String returns the address with the checksum of EIP-55, or for a contract
// the CAIP-10 account id "eip155:", the chain, ":" and that address.
func (a Account) String() string {
	_, account := a.Names()
	return account
}

// Names returns the address with the checksum of EIP-55, and what
// [Account.String] returns. For the account of a key both are the same, and the
// checksum is computed once.
func (a Account) Names() (address, account string) {
	address = a.Address.Hex()
	if a.Chain == 0 {
		return address, address
	}
	return address, a.id(address)
}

// id returns the CAIP-10 account id of a contract.
func (a Account) id(address string) string {
	return caip10 + strconv.FormatUint(a.Chain, 10) + ":" + address
}

// caip10 begins the account id of a contract: the CAIP-2 namespace of Ethereum.
const caip10 = "eip155:"

// ParseAccount reads what [Account.String] returns: an address, which is always
// the account of its key, or the CAIP-10 account id of a contract. Addresses
// are read as [siwe.ParseAddress] reads them. The chain id is decimal, from 1 to
// [siwe.MaxChainID], and does not begin with a zero. The error is a
// [*siwe.SyntaxError].
func ParseAccount(text string) (Account, error) {
	id, ok := strings.CutPrefix(text, caip10)
	if !ok {
		address, err := siwe.ParseAddress(text)
		return KeyAccount(address), err
	}
	digits, text, _ := strings.Cut(id, ":")
	chain, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || chain == 0 || chain > siwe.MaxChainID ||
		strconv.FormatUint(chain, 10) != digits {
		return Account{}, &siwe.SyntaxError{
			Field:  "account",
			Reason: "the chain id after eip155: must be a decimal number from 1 to 2^53-1",
		}
	}
	address, err := siwe.ParseAddress(text)
	if err != nil {
		return Account{}, err
	}
	return Account{Address: address, Chain: chain}, nil
}
