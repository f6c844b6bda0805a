package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func Example() {
	engine := miniredis.NewMiniRedis()
	if err := engine.Start(); err != nil {
		panic(err)
	}
	defer engine.Close()
	rdb := redis.NewClient(&redis.Options{Addr: engine.Addr(), MaxRetries: -1})
	defer rdb.Close()

	secret := []byte("a secret of at least 32 bytes, from a generator")
	ring, err := seal.NewRing("demo", secret, seal.EnvironmentKey(secret, []byte("an encryption key has 32 bytes..")))
	if err != nil {
		panic(err)
	}
	store := session.NewStore(rdb, ring, session.Options{
		Prefix: "demo", Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Access: 15 * time.Minute,
		Grace: 45 * time.Second, Touch: 30 * time.Second, SessionLimit: 5,
	}, time.Now)

	ctx := context.Background()
	client := session.Client{Transport: session.Bearer}
	terms := session.NonceTerms{Transport: session.Bearer, Purpose: session.ForLogin}
	nonce, _, _ := store.IssueNonce(ctx, terms)
	// … the wallet signs a message with the nonce, and the signature is verified …
	if err := store.SpendNonce(ctx, nonce, terms); err != nil {
		panic(err)
	}
	address := common.HexToAddress("0xA11CE00000000000000000000000000000000001")
	grant, _ := store.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(address), ChainID: 1, Client: client})

	access, _ := store.Validate(ctx, grant.AccessToken, client)
	fmt.Println("signed in:", access.Session.Account.Address)
	_, _ = store.Revoke(ctx, grant.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
	_, err = store.Validate(ctx, grant.AccessToken, client)
	fmt.Println(err)
	// Output:
	// signed in: 0xa11ce00000000000000000000000000000000001
	// session ended: logged_out
}
