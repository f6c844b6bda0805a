package chain

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Program is the creation code, for the test that assembles its source.
var Program = program

// IsFailure, Accepts and ReadAnswer are tested alone.
var (
	IsFailure  = isFailure
	Accepts    = accepts
	ReadAnswer = readAnswer
)

// Unwrap returns what a wrapped signature holds, and its encoding.
func Unwrap(signature []byte) (factory common.Address, calldata, inner, again []byte, ok bool) {
	w, ok := unwrap(signature)
	if ok {
		again = w.encode()
	}
	return w.factory, w.calldata, w.signature, again, ok
}

// Wrap returns a wrapped signature.
func Wrap(factory common.Address, calldata, signature []byte) []byte {
	return wrapper{factory, calldata, signature}.encode()
}

// ReadCreation and ReadMulticall read the answer to a wrapped signature.
func ReadCreation(answer []byte) error {
	return creationCall(Question{}, wrapper{}).read(answer)
}

func ReadMulticall(answer []byte) error {
	return multicallOf(common.Address{}, Question{}, wrapper{}).read(answer)
}

// AnswerOfMulticall returns an answer of Multicall3 with these results.
func AnswerOfMulticall(success []bool, data [][]byte) []byte {
	var results []multicallResult
	for i := range success {
		results = append(results, multicallResult{success[i], data[i]})
	}
	return appendResults(nil, results)
}

// SetURLTimeout changes how long a URL is asked, for the rest of a test.
func SetURLTimeout(t *testing.T, d time.Duration) {
	before := urlTimeout
	urlTimeout = d
	t.Cleanup(func() { urlTimeout = before })
}
