package boot_test

import (
	"context"
	"crypto/ecdsa"
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/api"
)

// logins are the events of logins over fresh nonces, by wallets that take turns.
func (h hot) logins(n, wallets int) [][]byte {
	h.b.Helper()
	keys := make([]*ecdsa.PrivateKey, wallets)
	for i := range keys {
		key, err := crypto.GenerateKey()
		if err != nil {
			h.b.Fatal(err)
		}
		keys[i] = key
	}
	nonces := h.serves((*api.API).Nonce)
	events := make([][]byte, n)
	for i := range events {
		events[i] = posted("/auth/login", signedBy(h.b, keys[i%wallets], func(query string) response {
			e := newEvent("GET", "/auth/nonce")
			e.RawQueryString = "transport=bearer" + query
			return h.ask(nonces, e, http.StatusOK)
		})).json(h.b)
	}
	return events
}

// BenchmarkLogin is what a function does with a login.
func BenchmarkLogin(b *testing.B) {
	h := newHot(b)
	f, events := h.serves((*api.API).Login), h.logins(b.N, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for _, e := range events {
		got, err := f.Invoke(context.Background(), e)
		if err != nil || !strings.Contains(string(got), `"statusCode":200`) {
			b.Fatalf("%s, %v", got, err)
		}
	}
}

// What a login allocates is bounded as it is in TestInvoke_allocations. Its trips are counted in shared/api.
func TestLogin_allocations(t *testing.T) {
	const runs, most = 100, 477
	h := newHot(t)
	f, events := h.serves((*api.API).Login), h.logins(runs+1, 4)
	next := 0
	got := testing.AllocsPerRun(runs, func() {
		answer, err := f.Invoke(context.Background(), events[next])
		if err != nil || !strings.Contains(string(answer), `"statusCode":200`) {
			t.Fatalf("%s, %v", answer, err)
		}
		next++
	})
	if got > most || got < most/2 {
		t.Errorf("%.0f allocations, want at most %d", got, most)
	}
}
