package chain_test

import (
	"testing"

	"latchkey/shared/chain"
)

// What nodes write if an execution fails. Each row says where the text is from:
// a file in the public repository of the node, as of 2026.
var failureTexts = []struct {
	node    string
	code    int64
	message string
}{
	// internal/ethapi/errors.go (newRevertError), core/vm/errors.go.
	{"geth", 3, "execution reverted"},
	{"geth", 3, "execution reverted: not the owner"},
	{"geth", -32000, "execution reverted"}, // earlier versions, without data
	{"geth", -32000, "out of gas"},
	{"geth", -32000, "contract creation code storage out of gas"},
	{"geth", -32000, "gas uint64 overflow"},
	{"geth", -32000, "invalid opcode: INVALID"},
	{"geth", -32000, "invalid opcode: opcode 0xef not defined"},
	{"geth", -32000, "invalid jump destination"},
	{"geth", -32000, "stack underflow (0 <=> 1)"},
	{"geth", -32000, "stack limit reached 1024 (1023)"},
	{"geth", -32000, "write protection"},
	{"geth", -32000, "return data out of bounds"},
	// core/vm/errors.go, which has the texts of geth.
	{"Erigon", 3, "execution reverted: x"},
	{"Erigon", -32000, "out of gas"},
	{"Erigon", -32000, "invalid opcode: INVALID"},
	{"Erigon", -32000, "invalid jump destination"},
	{"Erigon", -32000, "stack underflow (0 <=> 1)"},
	{"Erigon", -32000, "write protection"},
	// Nethermind.JsonRpc/ErrorCodes.cs, Modules/Eth/EthRpcModule.TransactionExecutor.cs,
	// Nethermind.Evm/EvmException.cs (the names of EvmExceptionType).
	{"Nethermind", 3, "execution reverted: x"},
	{"Nethermind", -32015, "VM execution error."},
	{"Nethermind", -32015, "revert"},
	{"Nethermind", -32000, "OutOfGas"},
	{"Nethermind", -32000, "BadInstruction"},
	{"Nethermind", -32000, "InvalidJumpDestination"},
	{"Nethermind", -32000, "StackUnderflow"},
	{"Nethermind", -32000, "StackOverflow"},
	{"Nethermind", -32000, "StaticCallViolation"},
	{"Nethermind", -32000, "AccessViolation"},
	{"Nethermind", -32000, "GasUInt64Overflow"},
	// ethereum/api/.../RpcErrorType.java (REVERT_ERROR, EXECUTION_HALTED),
	// evm/.../ExceptionalHaltReason.java.
	{"Besu", 3, "Execution reverted"},
	{"Besu", -32000, "Execution reverted (x)"}, // earlier versions
	{"Besu", -32000, "Transaction processing could not be completed due to an exception"},
	{"Besu", -32000, "Transaction processing could not be completed due to an exception (Out of gas)"},
	{"Besu", -32000, "Invalid opcode: 0xfe"},
	{"Besu", -32000, "Bad jump destination"},
	{"Besu", -32000, "Bad instruction"},
	{"Besu", -32000, "Stack underflow"},
	{"Besu", -32000, "Out of stack"},
	{"Besu", -32000, "Illegal state change"},
	// crates/rpc/rpc-eth-types/src/error/mod.rs (RpcInvalidTransactionError).
	{"Reth", 3, "execution reverted: x"},
	{"Reth", -32003, "out of gas: gas required exceeds: 5000000"},
	{"Reth", -32003, "out of gas: gas exhausted during memory expansion: 5000000"},
	{"Reth", -32003, "out of memory: memory limit exceeded during memory expansion"},
	{"Reth", -32003, "out of gas: gas exhausted during precompiled contract execution: 5000000"},
	{"Reth", -32003, "out of gas: invalid operand to an opcode: 5000000"},
	{"Reth", -32003, "EVM error: InvalidFEOpcode"},
	{"Reth", -32003, "EVM error: OpcodeNotFound"},
	{"Reth", -32003, "EVM error: NotActivated"},
	{"Reth", -32003, "EVM error: InvalidJump"},
	{"Reth", -32003, "EVM error: StackUnderflow"},
	{"Reth", -32003, "EVM error: StackOverflow"},
	{"Reth", -32003, "EVM error: StateChangeDuringStaticCall"},
	{"Reth", -32003, "EVM error: CallNotAllowedInsideStatic"},
	{"Reth", -32003, "EVM error: OutOfOffset"},
	// crates/anvil/src/eth/error/mod.rs (EvmError, Revert).
	{"anvil", 3, "execution reverted: x"},
	{"anvil", -32003, "EVM error InvalidFEOpcode"},
	{"anvil", -32003, "EVM error OutOfGas(Basic)"},
	{"anvil", -32603, "EVM error InvalidJump"}, // earlier versions
	// The names of InstructionResult of revm, crates/interpreter/src/instruction_result.rs.
	{"anvil", -32003, "EVM error OutOfGas"},
	{"anvil", -32003, "EVM error MemoryOOG"},
	{"anvil", -32003, "EVM error MemoryLimitOOG"},
	{"anvil", -32003, "EVM error PrecompileOOG"},
	{"anvil", -32003, "EVM error InvalidOperandOOG"},
	{"anvil", -32003, "EVM error ReentrancySentryOOG"},
	{"anvil", -32003, "EVM error NotActivated"},
	{"anvil", -32003, "EVM error InvalidImmediateEncoding"},
}

func TestIsFailure(t *testing.T) {
	for _, f := range failureTexts {
		if !chain.IsFailure(f.code, f.message) {
			t.Errorf("%s: %d %q is no failed execution", f.node, f.code, f.message)
		}
	}
}

// What says nothing about the signature.
func TestIsFailure_trouble(t *testing.T) {
	for _, f := range []struct {
		code    int64
		message string
	}{
		{-32000, ""},
		{-32000, "execution aborted (timeout = 5s)"}, // geth, internal/ethapi/api.go
		{-32000, "header not found"},
		{-32000, "missing trie node"},
		{-32000, "intrinsic gas too low"},
		{-32000, "insufficient funds for gas * price + value"},
		{-32000, "contract address collision"},
		{-32000, "World state unavailable"},
		{-32000, "the server ran out of gas"},
		{-32000, "request timed out: execution reverted"},
		{-32003, "EVM error: CreateCollision"},
		{-32003, "transaction rejected"},
		{-32603, "Internal error"},
		{-32002, "out of gas"},
		{-32005, "execution reverted"},
		{-32016, "out of gas"},
		{-32601, "reverted"},
		{-32602, "execution reverted"},
		{0, "execution reverted"},
		{-3, "execution reverted"},
		{429, "out of gas"},
	} {
		if chain.IsFailure(f.code, f.message) {
			t.Errorf("%d %q is a failed execution", f.code, f.message)
		}
	}
}
