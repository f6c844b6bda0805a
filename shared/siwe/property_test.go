package siwe_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/siwe"
)

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// maybe gives one of the values half of the time, and nil otherwise.
func maybe[T any](r *rand.Rand, from ...T) *T {
	if r.IntN(2) == 0 {
		return nil
	}
	value := pick(r, from...)
	return &value
}

func randomMessage(t *testing.T, r *rand.Rand) *siwe.Message {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	at := siwe.NewTime(testNow.Add(time.Duration(r.Int64N(int64(1000 * time.Hour)))))
	m := &siwe.Message{
		Scheme:         pick(r, "", "https", "http", "x+y-z.9"),
		Domain:         pick(r, "example.com", "localhost:3000", "[::1]:80", "[2001:db8::7]", "xn--bcher-kva.example", "1.2.3.4"),
		Address:        crypto.PubkeyToAddress(key.PublicKey),
		Statement:      maybe(r, "", "Sign in.", " ", "URI: x", "Nonce: 12345678", "- a", "Resources:"),
		URI:            pick(r, "https://example.com/login", "a:", "did:x:1", "http://u@h:1/p?q#f", "file:///x"),
		Version:        siwe.Version,
		ChainID:        pick(r, 1, 8453, siwe.MaxChainID, 1+r.Uint64N(siwe.MaxChainID)),
		Nonce:          pick(r, "12345678", "abcdefghijklmnop", strings.Repeat("Z", 40)),
		IssuedAt:       at,
		ExpirationTime: maybe(r, at),
		NotBefore:      maybe(r, at),
		RequestID:      maybe(r, "", "id", "%20:@"),
	}
	if r.IntN(2) == 0 {
		m.Resources = []string{}
		for range r.IntN(siwe.MaxResources + 1) {
			m.Resources = append(m.Resources, pick(r, "https://example.com/terms", "ipfs://x/", "urn:a:b"))
		}
	}
	return m
}

// What the service writes itself, it reads back as the same message.
func TestString_parsesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m := randomMessage(t, r)
		text := m.String()
		back := parse(t, text)
		if back.Address != m.Address || back.AddressText != m.Address.Hex() || back.Domain != m.Domain || back.ChainID != m.ChainID {
			t.Fatalf("reads back as %+v, want %+v", back, m)
		}
		if (back.Statement == nil) != (m.Statement == nil) || len(back.Resources) != len(m.Resources) || back.IssuedAt != m.IssuedAt {
			t.Fatalf("reads back as %+v, want %+v", back, m)
		}
		holdsToGrammar(t, []byte(text))
	}
}

// compact has every line, and as little as possible in each: the test below is quadratic in its length.
const compact = `s://[::1]:1 wants you to sign in with your Ethereum account:
` + exampleAddress + `

Hi.

URI: a://u@h:1/p?q#f
Version: 1
Chain ID: 1
Nonce: 12345678
Issued At: 2026-03-01T12:00:00.0Z
Expiration Time: 2026-03-01T12:00:00Z
Not Before: 2026-03-01T12:00:00+00:00
Request ID: %20
Resources:
- a:
- b:c`

// Every edit of one byte of a message is refused or renders back, as the grammar has it.
func TestParse_holdsToTheGrammarUnderEdits(t *testing.T) {
	parse(t, compact)
	for i := range len(compact) {
		holdsToGrammar(t, []byte(compact[:i]+compact[i+1:]))
		for _, c := range "\n %@:/#]<0Gz-." {
			holdsToGrammar(t, []byte(compact[:i]+string(c)+compact[i:]))
			holdsToGrammar(t, []byte(compact[:i]+string(c)+compact[i+1:]))
		}
	}
}

func TestString_spellsTheAddressWhereNoneWasReceived(t *testing.T) {
	m := parse(t, example)
	m.AddressText = ""
	if m.String() != example {
		t.Errorf("String gives\n%s", m)
	}
	m.Address = common.HexToAddress("0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")
	parse(t, m.String())
}

func TestValidStatement_isWhatParseAccepts(t *testing.T) {
	for c := range 256 {
		statement := "a" + string([]byte{byte(c)}) + "b"
		_, err := siwe.Parse([]byte(swap(t, example, "Sign in.", statement)))
		if siwe.ValidStatement(statement) != (err == nil) {
			t.Errorf("ValidStatement(%q) is %t, Parse gives %v", statement, siwe.ValidStatement(statement), err)
		}
	}
}
