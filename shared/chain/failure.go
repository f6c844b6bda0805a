package chain

import "strings"

// Codes of JSON-RPC errors that can say that an execution failed. With the
// first two every text does; with the others it depends on the text.
const (
	codeReverted = 3      // geth, Erigon, Nethermind, Besu, Reth, anvil
	codeVMError  = -32015 // Nethermind, and OpenEthereum before it
	codeServer   = -32000 // geth, Erigon, Nethermind, Besu
	codeRejected = -32003 // Reth, anvil
	codeInternal = -32603 // earlier versions of anvil
)

// codeInvalidParams is what some nodes answer to a call without a recipient.
const codeInvalidParams = -32602

// failures are the beginnings of the texts that say that an execution failed,
// reduced to small letters and digits: nodes spell one failure in several ways.
// A node's own time-out ("execution aborted") is not among them.
var failures = []string{
	// Revert.
	"executionreverted", "reverted", "vmexecutionerror",
	// Out of gas, of the memory limit, or of gas for the code that is returned.
	"outofgas", "outofmemorymemorylimit", "gasuint64overflow", "contractcreationcodestorageoutofgas",
	"memoryoog", "memorylimitoog", "precompileoog", "invalidoperandoog", "reentrancysentryoog",
	// Invalid opcode.
	"invalidopcode", "badinstruction", "invalidinstruction", "opcodenotfound", "invalidfeopcode",
	"notactivated", "invalidimmediateencoding",
	// Bad jump.
	"invalidjump", "badjumpdestination",
	// Stack.
	"stackunderflow", "stackoverflow", "stacklimitreached", "outofstack",
	// Write protection: a change of state in a static call.
	"writeprotection", "staticcallviolation", "illegalstatechange",
	"statechangeduringstaticcall", "callnotallowedinsidestatic",
	// Return data that is not there.
	"returndataoutofbounds", "accessviolation", "outofoffset",
	// Besu says this of every exceptional halt, and adds which one.
	"transactionprocessingcouldnotbecompletedduetoanexception",
}

// isFailure reports whether the error of an eth_call says that the execution
// failed, which is a definite no. Any other error is trouble.
func isFailure(code int64, message string) bool {
	if code == codeReverted || code == codeVMError {
		return true
	}
	if !mayBeFailure(code) {
		return false
	}
	// Reth and anvil put this before the name of a halt.
	text := strings.TrimPrefix(reduce(message), "evmerror")
	for _, beginning := range failures {
		if strings.HasPrefix(text, beginning) {
			return true
		}
	}
	return false
}

// mayBeFailure reports whether the text decides what an error with this code
// says.
func mayBeFailure(code int64) bool {
	return code == codeServer || code == codeRejected || code == codeInternal
}

// reduce returns the letters, in small, and digits of a text.
func reduce(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, text)
}
