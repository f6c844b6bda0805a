package token_test

import (
	"bytes"
	"fmt"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// All callers that present the same refresh token compute the same successor.
func Example() {
	secret := bytes.Repeat([]byte("secret.."), 8)
	key := seal.EnvironmentKey(secret, secret[:32])
	keys, err := seal.NewRing("example", secret, key)
	if err != nil {
		panic(err)
	}
	id := token.ID{User: token.UserIDOf(keys, "eoa:0x00")}
	first := token.NewRefresh(key.ID, id, 0)
	one, _ := token.Successor(keys, first)
	two, _ := token.Successor(keys, first)
	a, _ := one.Refresh.Encode(keys)
	b, _ := two.Refresh.Encode(keys)
	fmt.Println(a == b, one.Refresh.Generation())
	fmt.Println(one) // a token prints as its kind alone
	// Output:
	// true 1
	// {lka_ lkr_}
}
