package chain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"latchkey/shared/chain"
)

// What is read is encoded as the very same bytes, so there is one reading.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte{})
	f.Add(chain.Wrap(common.Address{1}, []byte{2}, []byte{3}))
	f.Add(chain.Wrap(common.Address{1}, nil, make([]byte, 65)))
	f.Fuzz(func(t *testing.T, signature []byte) {
		_, calldata, inner, again, ok := chain.Unwrap(signature)
		if ok && !bytes.Equal(again, signature) {
			t.Errorf("%x is read as %x", signature, again)
		}
		if !ok && (calldata != nil || inner != nil) {
			t.Error("a malformed wrapper gives values")
		}
		if len(calldata)+len(inner) > len(signature) {
			t.Error("more was read than there is")
		}
	})
}

// An answer counts only if it is a JSON object with the id of the request, and
// never both as result and as failure.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(strings.ReplaceAll(accepted.body, "ID", "7")))
	f.Add([]byte(strings.ReplaceAll(failed(3, "execution reverted").body, "ID", "7")))
	f.Add([]byte(strings.ReplaceAll(failed(-32000, "out of gas").body, "ID", "7")))
	f.Add([]byte(`{"jsonrpc":"2.0","id":7,"result":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		result, err := chain.ReadAnswer(body, "7")
		if err != nil && result != "" {
			t.Errorf("the result %q with %v", result, err)
		}
		if err != nil && !errors.Is(err, chain.ErrRefused) {
			return // a fault
		}
		var answer struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.Number     `json:"id"`
			Result  *string         `json:"result"`
			Error   json.RawMessage `json:"error"`
		}
		if e := json.Unmarshal(body, &answer); e != nil {
			t.Fatalf("%q counts, and is no answer: %v", body, e)
		}
		hasError := answer.Error != nil && string(answer.Error) != "null"
		if answer.JSONRPC != "2.0" || answer.ID != "7" || hasError != (err != nil) || hasError == (answer.Result != nil) {
			t.Errorf("%q gives %q, %v", body, result, err)
		}
	})
}

// Of all answers to a wrapped signature, only those are a yes that have the
// magic value where a call has put it.
func FuzzReadMulticall(f *testing.F) {
	no := make([]byte, 32)
	for _, data := range [][][]byte{{magic, nil, no}, {no, {1}, magic}, {nil, nil, nil}} {
		f.Add(chain.AnswerOfMulticall([]bool{true, true, true}, data))
	}
	f.Add(hexutil.MustDecode("0x01"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if chain.ReadMulticall(answer) == nil && !bytes.Contains(answer, magic) {
			t.Errorf("%x is a yes", answer)
		}
		if chain.ReadCreation(answer) == nil && !bytes.Equal(answer, []byte{1}) {
			t.Errorf("%x is a yes of the creation code", answer)
		}
		if chain.Accepts(answer) && !bytes.Equal(answer, magic) {
			t.Errorf("%x is a yes of a contract", answer)
		}
	})
}
