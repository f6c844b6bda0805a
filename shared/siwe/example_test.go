package siwe_test

import (
	"errors"
	"fmt"
	"time"

	"latchkey/shared/siwe"
)

// A service reads what came in, then holds it against its policy. The signature comes after, over the received bytes.
func Example() {
	policy := siwe.Policy{
		Domains:   []string{"example.com"},
		ChainIDs:  []uint64{1},
		Statement: "Sign in.",
		MaxAge:    10 * time.Minute,
		MaxAhead:  time.Minute,
	}
	received := []byte(example)

	m, err := siwe.Parse(received)
	if err != nil {
		fmt.Println("malformed:", err)
		return
	}
	fmt.Println(m.Address, "by", m.Domain)
	fmt.Println(policy.Check(m, time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)))
	fmt.Println(policy.Check(m, time.Date(2026, 3, 2, 12, 1, 0, 0, time.UTC)))

	_, err = siwe.Parse(append(received, '\n'))
	var syntax *siwe.SyntaxError
	fmt.Println(errors.As(err, &syntax), syntax)
	// Output:
	// 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed by example.com
	// <nil>
	// message not accepted: issued-at
	// true message: has a line that is empty, unknown, repeated or out of order (line 11)
}

// A service that writes the message for the wallet fills a Message and renders it.
func ExampleMessage_String() {
	address, err := siwe.ParseAddress("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := siwe.Policy{Domains: []string{"example.com"}}
	statement := "Sign in."
	m := siwe.Message{
		Domain:    "example.com",
		Address:   address,
		Statement: &statement,
		URI:       policy.Origin("example.com"),
		Version:   siwe.Version,
		ChainID:   1,
		Nonce:     "0123456789abcdef",
		IssuedAt:  siwe.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
	}
	fmt.Println(m.String())
	// Output:
	// example.com wants you to sign in with your Ethereum account:
	// 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
	//
	// Sign in.
	//
	// URI: https://example.com
	// Version: 1
	// Chain ID: 1
	// Nonce: 0123456789abcdef
	// Issued At: 2026-03-01T12:00:00.000Z
}
