package verifier

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/chain"
	"latchkey/shared/strictjson"
)

// event asks a question.
type event struct {
	Chain     uint64 `json:"chain"`
	Account   string `json:"account"`
	Digest    string `json:"digest"`
	Signature string `json:"signature"`
}

func newEvent(q chain.Question) event {
	return event{
		Chain: q.Chain, Account: q.Account.Hex(),
		Digest: encodeHex(q.Digest[:]), Signature: encodeHex(q.Signature),
	}
}

// errEvent does not say which member is wrong: no other function sends such an
// event.
var errEvent = errors.New("the event is not a question of this version's functions")

// parseEvent reads an event and accepts only what newEvent writes.
func parseEvent(payload []byte) (q chain.Question, err error) {
	m, ok := parseMembers(payload, 4)
	if !ok {
		return q, errEvent
	}
	q.Chain = m.number("chain", math.MaxInt64)
	q.Account = common.HexToAddress(m.text("account"))
	digest := decodeHex(m.text("digest"))
	copy(q.Digest[:], digest)
	q.Signature = decodeHex(m.text("signature"))
	if e := newEvent(q); m.bad || len(digest) != len(q.Digest) || q.Chain == 0 ||
		e.Account != m.text("account") || e.Digest != m.text("digest") ||
		e.Signature != m.text("signature") {
		return chain.Question{}, errEvent
	}
	return q, nil
}

// The results of an answer.
const (
	accepted = "accepted"
	refused  = "refused"
	disagree = "disagree"
	noChain  = "no_chain"
	trouble  = "trouble"
)

// answer answers a question. It repeats what was asked, so that an answer to
// another question cannot be mistaken for this one's.
type answer struct {
	Chain             uint64 `json:"chain"`
	Account           string `json:"account"`
	Digest            string `json:"digest"`
	Result            string `json:"result"`
	Reason            string `json:"reason"`
	RetryAfterSeconds uint64 `json:"retryAfterSeconds"`
}

// newAnswer returns the answer to a question whose verification returned err.
func newAnswer(q chain.Question, err error) answer {
	e := newEvent(q)
	a := answer{Chain: e.Chain, Account: e.Account, Digest: e.Digest}
	var t *chain.TroubleError
	switch {
	case err == nil:
		a.Result = accepted
	case errors.As(err, &t):
		a.Result, a.Reason = trouble, strings.Join(t.Reasons, ", ")
		a.RetryAfterSeconds = uint64((t.RetryAfter + time.Second - 1) / time.Second)
	case errors.Is(err, chain.ErrNoChain):
		a.Result = noChain
	case errors.Is(err, chain.ErrDisagree):
		a.Result = disagree
	case errors.Is(err, chain.ErrRefused):
		a.Result = refused
		a.Reason = strings.TrimPrefix(err.Error(), chain.ErrRefused.Error()+": ")
	default:
		a.Result, a.Reason, a.RetryAfterSeconds = trouble, err.Error(), 1
	}
	return a
}

// maxRetry bounds how long an answer can keep callers away, in seconds.
const maxRetry = 60

// parseAnswer reads an answer. It is not ok if it is malformed.
func parseAnswer(payload []byte) (a answer, ok bool) {
	m, ok := parseMembers(payload, 6)
	if !ok {
		return a, false
	}
	a = answer{
		Chain: m.number("chain", math.MaxInt64), Account: m.text("account"),
		Digest: m.text("digest"), Result: m.text("result"), Reason: m.text("reason"),
		RetryAfterSeconds: m.number("retryAfterSeconds", maxRetry),
	}
	return a, !m.bad
}

// members are those of an object. Reading one that is missing or has another
// type makes them bad.
type members struct {
	values map[string]any
	bad    bool
}

// parseMembers reads an object with n members.
func parseMembers(payload []byte, n int) (*members, bool) {
	parsed, err := strictjson.Parse(payload)
	values, _ := parsed.(map[string]any)
	return &members{values: values}, err == nil && len(values) == n
}

func (m *members) text(name string) string {
	text, ok := m.values[name].(string)
	m.bad = m.bad || !ok
	return text
}

// number reads a whole number from 0 to most, in its shortest form.
func (m *members) number(name string, most uint64) uint64 {
	written, _ := m.values[name].(json.Number)
	n, err := strconv.ParseUint(written.String(), 10, 64)
	m.bad = m.bad || err != nil || n > most || strconv.FormatUint(n, 10) != written.String()
	return n
}

func encodeHex(b []byte) string { return "0x" + hex.EncodeToString(b) }

// decodeHex returns nil for what is not hex. The caller compares the text with
// what encodeHex writes.
func decodeHex(text string) []byte {
	b, _ := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	return b
}
