// Package evm starts a node of a simulated chain for tests: go-ethereum's
// simulated backend, which runs a real EVM and serves JSON-RPC on loopback. Its
// genesis block has an account of each kind, from contracts.sol. Only tests use
// the package, and no function links it.
package evm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"
)

// Chain is the chain id of the node.
const Chain = 1337

//go:embed contracts/contracts.json
var compiled []byte

// contract is the bytecode of one contract in contracts.
type contract struct {
	EVM struct {
		Bytecode, DeployedBytecode struct{ Object string }
	}
}

// contracts returns them by name.
var contracts = sync.OnceValue(func() map[string]contract {
	var output struct {
		Contracts map[string]map[string]contract
	}
	if err := json.Unmarshal(compiled, &output); err != nil {
		panic(err)
	}
	return output.Contracts["contracts.sol"]
})

// RuntimeOf returns the code of a deployed contract.
func RuntimeOf(name string) []byte {
	return common.FromHex(contracts()[name].EVM.DeployedBytecode.Object)
}

// CreationOf returns the code that deploys a contract.
func CreationOf(name string) []byte { return common.FromHex(contracts()[name].EVM.Bytecode.Object) }

// Key returns a key that tests sign with, by a number from 1.
func Key(n byte) *ecdsa.PrivateKey {
	k, err := crypto.ToECDSA(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err)
	}
	return k
}

// AddressOf returns the address of a key.
func AddressOf(k *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(k.PublicKey) }

// AccountOf returns the address that the genesis block gives to a contract. A
// name with a suffix behind ":" is another account with the same code.
func AccountOf(name string) common.Address {
	return common.Address(crypto.Keccak256([]byte(name))[12:])
}

// What the accounts of the genesis block are about.
var (
	// Digest is what has been approved on chain in the account "Approves".
	Digest = crypto.Keccak256Hash([]byte("what was signed"))
	// Magic is what isValidSignature returns for a yes (ERC-1271).
	Magic = common.FromHex("0x1626ba7e00000000000000000000000000000000000000000000000000000000")
	// Owner owns the owner wallets. Rich can pay for transactions. The account
	// of Delegating delegates to the code of an owner wallet (EIP-7702).
	Owner, Rich, Delegating = Key(1), Key(2), Key(3)
)

// answers is the storage of an Answers contract.
func answers(n int, data []byte) map[common.Hash]common.Hash {
	data = append(bytes.Clone(data), make([]byte, 64)...)
	return map[common.Hash]common.Hash{
		{}:         common.BigToHash(big.NewInt(int64(n))),
		{31: 0x01}: common.Hash(data[:32]),
		{31: 0x02}: common.Hash(data[32:64]),
	}
}

// genesis has one account of each kind.
func genesis() types.GenesisAlloc {
	delegation := types.AddressToDelegation(AccountOf("OwnerWallet"))
	ownerSlot := map[common.Hash]common.Hash{{}: common.BytesToHash(AddressOf(Owner).Bytes())}
	alloc := types.GenesisAlloc{
		AddressOf(Rich):            {Balance: new(big.Int).Lsh(big.NewInt(1), 80)},
		AccountOf("OwnerWallet"):   {Code: RuntimeOf("OwnerWallet"), Storage: ownerSlot},
		AccountOf("OwnerWallet:2"): {Code: RuntimeOf("OwnerWallet"), Storage: ownerSlot},
		AccountOf("OwnerWallet:3"): {Code: RuntimeOf("OwnerWallet"), Storage: ownerSlot},
		// Accounts of keys that delegate to the code of an owner wallet.
		AccountOf("Delegated"):             {Code: delegation, Storage: ownerSlot},
		AddressOf(Delegating):              {Code: delegation, Storage: ownerSlot},
		AccountOf("DelegatedToNothing"):    {Code: types.AddressToDelegation(AccountOf("nothing"))},
		AccountOf("DelegatedToPrecompile"): {Code: types.AddressToDelegation(common.Address{19: 4})},
		AccountOf("Approves"): {Code: RuntimeOf("Approves"), Storage: map[common.Hash]common.Hash{
			crypto.Keccak256Hash(Digest[:], make([]byte, 32)): {31: 1},
		}},
	}
	for _, name := range []string{"Factory", "Unprepared", "LongSignature", "Echoes", "EchoesWord",
		"Reverts", "RevertsWithMagic", "Burns", "Invalid", "Writes", "Multicall"} {
		alloc[AccountOf(name)] = types.Account{Code: RuntimeOf(name)}
	}
	nearly := append(bytes.Clone(Magic[:31]), 1)
	shifted := append(make([]byte, 28), Magic[:4]...)
	yes := append(make([]byte, 31), 1)
	for name, storage := range map[string]map[common.Hash]common.Hash{
		"Answers:0": answers(0, nil), "Answers:4": answers(4, Magic), "Answers:31": answers(31, Magic),
		"Answers:32": answers(32, Magic), "Answers:33": answers(33, Magic), "Answers:64": answers(64, Magic),
		"Answers:nearly": answers(32, nearly), "Answers:shifted": answers(32, shifted),
		"Answers:true": answers(32, yes), "Answers:zero": answers(32, nil),
		"Answers:1":    answers(1, []byte{1}), // what the creation code says for a yes
		"Answers:long": answers(40_000, Magic),
	} {
		alloc[AccountOf(name)] = types.Account{Code: RuntimeOf("Answers"), Storage: storage}
	}
	return alloc
}

// Node is a chain with one node.
type Node struct {
	*simulated.Backend
	// URL is where it serves JSON-RPC.
	URL string
}

// startNode starts a node that serves JSON-RPC on loopback. A port that was
// free may have been taken before the node listens on it, and then it panics.
func startNode() (n Node, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("starting the node: %v", problem)
		}
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return n, err
	}
	address := listener.Addr().(*net.TCPAddr)
	listener.Close()
	serve := func(nodeConf *node.Config, _ *ethconfig.Config) {
		nodeConf.HTTPHost, nodeConf.HTTPPort = "127.0.0.1", address.Port
		nodeConf.HTTPModules = []string{"eth", "txpool"}
	}
	n.Backend = simulated.NewBackend(genesis(), serve)
	n.URL = "http://" + address.String()
	return n, nil
}

// theNode starts one node for all tests.
var theNode = sync.OnceValues(func() (n Node, err error) {
	for range 5 {
		if n, err = startNode(); err == nil {
			break
		}
	}
	return n, err
})

// Start returns the one node of all tests of a process. It starts it first.
func Start(t *testing.T) Node {
	t.Helper()
	n, err := theNode()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Send makes a transaction by a key and waits until it is mined. Without data it
// sends one ether.
func (n Node) Send(t *testing.T, from *ecdsa.PrivateKey, to common.Address, data []byte) {
	t.Helper()
	client := n.Client()
	nonce, err := client.PendingNonceAt(context.Background(), AddressOf(from))
	if err != nil {
		t.Fatal(err)
	}
	value := new(big.Int)
	if data == nil {
		value = big.NewInt(1e18)
	}
	signed, err := types.SignNewTx(from, types.LatestSignerForChainID(big.NewInt(Chain)), &types.DynamicFeeTx{
		ChainID: big.NewInt(Chain), Nonce: nonce, To: &to, Data: data, Value: value, Gas: 1_000_000,
		GasFeeCap: big.NewInt(1e10), GasTipCap: big.NewInt(1e9),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SendTransaction(context.Background(), signed); err != nil {
		t.Fatal(err)
	}
	n.Commit()
	receipt, err := client.TransactionReceipt(context.Background(), signed.Hash())
	if err != nil || receipt.Status != types.ReceiptStatusSuccessful {
		t.Fatalf("the transaction failed: %v, %+v", err, receipt)
	}
}

// Mine mines what is sent to the RPC until the test ends. Until then the test
// must not call Send or Commit.
func (n Node) Mine(t *testing.T) {
	client, err := rpc.Dial(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped; client.Close() })
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			// The number of pending transactions, which the backend's client
			// has too, is up to two seconds old.
			var pool struct{ Pending hexutil.Uint }
			if err := client.Call(&pool, "txpool_status"); err == nil && pool.Pending > 0 {
				n.Commit()
			}
		}
	}()
}

// Calldata returns a selector and words.
func Calldata(signature string, arguments ...[]byte) []byte {
	b := crypto.Keccak256([]byte(signature))[:4]
	for _, a := range arguments {
		b = append(b, common.LeftPadBytes(a, 32)...)
	}
	return b
}

// Sign returns r, s and v of a key, as contracts expect it.
func Sign(t *testing.T, k *ecdsa.PrivateKey, digest common.Hash) []byte {
	t.Helper()
	signature, err := crypto.Sign(digest[:], k)
	if err != nil {
		t.Fatal(err)
	}
	signature[64] += 27
	return signature
}

// Counterfactual returns an owner wallet that is not deployed, and the calldata
// that lets the factory deploy it.
func Counterfactual(salt byte) (account common.Address, deploy []byte) {
	init := append(CreationOf("OwnerWallet"), common.LeftPadBytes(AddressOf(Owner).Bytes(), 32)...)
	s := common.Hash{31: salt}
	account = crypto.CreateAddress2(AccountOf("Factory"), s, crypto.Keccak256(init))
	return account, Calldata("deploy(address,bytes32)", AddressOf(Owner).Bytes(), s[:])
}

// Wrap returns a wrapped signature (ERC-6492), encoded by go-ethereum.
func Wrap(factory common.Address, calldata, signature []byte) []byte {
	var arguments abi.Arguments
	for _, name := range []string{"address", "bytes", "bytes"} {
		kind, err := abi.NewType(name, "", nil)
		if err != nil {
			panic(err)
		}
		arguments = append(arguments, abi.Argument{Type: kind})
	}
	b, err := arguments.Pack(factory, calldata, signature)
	if err != nil {
		panic(err)
	}
	return append(b, bytes.Repeat([]byte{0x64, 0x92}, 16)...)
}
