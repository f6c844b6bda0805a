package chain

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
)

// magic is the selector of isValidSignature(bytes32,bytes), and also what it
// returns for a signature that it accepts (ERC-1271).
var magic = []byte{0x16, 0x26, 0xba, 0x7e}

// call is an eth_call and how its answer is read.
type call struct {
	to   *common.Address // nil to run data as creation code
	data []byte
	// read returns nil, an error that wraps [ErrRefused], or a fault if this is
	// no answer to the call.
	read func(answer []byte) error
	// alone is what is asked instead if the answer is too long, or nil.
	alone *call
}

// plainCall asks the account itself (ERC-1271).
func plainCall(q Question) call {
	return call{to: &q.Account, data: encodeQuestion(q, q.Signature), read: func(answer []byte) error {
		switch {
		case accepts(answer):
			return nil
		case len(answer) == 0:
			return refuse("there is no contract, or it answered nothing")
		}
		return refuse("the answer is not the magic value")
	}}
}

// accepts reports whether an answer of isValidSignature is a yes: exactly one
// word, the magic value and 28 zeros. A contract that echoes its calldata would
// begin with the magic value too, because that is the selector.
func accepts(answer []byte) bool {
	return len(answer) == word && bytes.HasPrefix(answer, magic) && isZero(answer[len(magic):])
}

// encodeQuestion returns the calldata of isValidSignature.
func encodeQuestion(q Question, signature []byte) []byte {
	b := append(bytes.Clone(magic), q.Digest[:]...)
	return appendBytes(appendUint(b, 2*word), signature)
}

// creationCall asks with the program in program.go, which nothing deploys: it
// runs as if a contract was created, and what it returns is not stored.
func creationCall(q Question, w wrapper) call {
	question := encodeQuestion(q, w.signature)
	data := appendAddress(bytes.Clone(program), q.Account)
	data = appendAddress(data, w.factory)
	data = appendUint(data, len(question))
	data = append(append(data, question...), w.calldata...)
	return call{data: data, read: func(answer []byte) error {
		if len(answer) != 1 || answer[0] > 1 {
			// The program returns nothing else, so it has not been run.
			return fault{"the node does not run creation code: configure a Multicall3", true}
		}
		if answer[0] == 0 {
			return refuse("the account of a wrapped signature does not accept it")
		}
		return nil
	}}
}

// aggregate3 is the selector of aggregate3((address,bool,bytes)[]) of
// Multicall3. Its answer is (bool success, bytes returnData)[].
var aggregate3 = []byte{0x82, 0xad, 0x56, 0xcb}

// multicallOf asks with a deployed Multicall3: the account, the factory, and
// the account again. Each of the three may fail. They are not static calls, and
// neither is a plain call. Nothing that they change remains.
//
// The answer has what the factory returned. A signer who is no longer an owner
// could choose a factory that returns too much, and then no check would come to
// an answer. So the account is asked alone if the answer is too long.
func multicallOf(contract common.Address, q Question, w wrapper) call {
	q.Signature = w.signature
	question, alone := encodeQuestion(q, q.Signature), plainCall(q)
	data := appendCalls(bytes.Clone(aggregate3), []multicallEntry{
		{q.Account, question}, {w.factory, w.calldata}, {q.Account, question},
	})
	return call{to: &contract, data: data, alone: &alone, read: func(answer []byte) error {
		results, ok := cutResults(answer)
		switch {
		case !ok || len(results) != 3:
			return fault{"the answer is not that of a Multicall3", true}
		case results[0].accepted(), results[1].success && results[2].accepted():
			return nil
		}
		return refuse("the account of a wrapped signature does not accept it")
	}}
}

// multicallEntry is a call that aggregate3 makes.
type multicallEntry struct {
	to   common.Address
	data []byte
}

// appendCalls appends a list of calls that may fail.
func appendCalls(b []byte, calls []multicallEntry) []byte {
	b = appendUint(appendUint(b, word), len(calls))
	offset := len(calls) * word
	for _, c := range calls {
		b = appendUint(b, offset)
		offset += 4*word + padded(len(c.data))
	}
	for _, c := range calls {
		b = appendAddress(b, c.to)
		b = appendUint(b, 1) // allowFailure
		b = appendBytes(appendUint(b, 3*word), c.data)
	}
	return b
}

// multicallResult is how one of the calls ended.
type multicallResult struct {
	success bool
	data    []byte
}

func (r multicallResult) accepted() bool { return r.success && accepts(r.data) }

// cutResults reads the answer of aggregate3, in the canonical encoding.
func cutResults(answer []byte) (results []multicallResult, ok bool) {
	const head = 2 * word
	if len(answer) < head {
		return nil, false
	}
	n, rest, ok := cutUint(answer[word:])
	if !ok || n > len(rest)/word {
		return nil, false
	}
	for rest = rest[n*word:]; len(results) < n; {
		if len(rest) < head {
			return nil, false
		}
		r := multicallResult{success: rest[word-1] == 1}
		if r.data, rest, ok = cutBytes(rest[head:]); !ok {
			return nil, false
		}
		results = append(results, r)
	}
	return results, bytes.Equal(appendResults(nil, results), answer)
}

// appendResults appends an answer of aggregate3.
func appendResults(b []byte, results []multicallResult) []byte {
	b = appendUint(appendUint(b, word), len(results))
	offset := len(results) * word
	for _, r := range results {
		b = appendUint(b, offset)
		offset += 3*word + padded(len(r.data))
	}
	for _, r := range results {
		success := 0
		if r.success {
			success = 1
		}
		b = appendBytes(appendUint(appendUint(b, success), 2*word), r.data)
	}
	return b
}
