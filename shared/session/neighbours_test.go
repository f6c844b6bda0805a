package session_test

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// neighbourhood has the numbers of 150 people whose accounts are in Alice's bucket, under the keys of settled: to find them
// takes long, since every 4096th is one.
//
//go:embed testdata/neighbours.txt
var neighbourhood string

// settled gives a world keys that are always the same.
func (w *world) settled() {
	w.t.Helper()
	secret := []byte("a secret for tests that is always the same, of sixty-four bytes.")
	ring, err := seal.NewRing("settled", secret[:32], seal.EnvironmentKey(secret[:32], secret[32:]))
	must(w.t, err)
	w.ring = ring
	w.Store = w.on(w.product, w.clock)
}

// neighbours are that many people whose accounts are in one bucket with Alice's, in a world that is settled.
func (w *world) neighbours(n int) (people []common.Address) {
	w.t.Helper()
	partition := session.Partition(w.UserOf(token.KeyAccount(alice)))
	lines := strings.Fields(neighbourhood)
	for _, line := range lines[:n] {
		number, err := strconv.Atoi(line)
		must(w.t, err)
		p := person(number)
		if session.Partition(w.UserOf(token.KeyAccount(p))) != partition {
			w.t.Fatalf("testdata/neighbours.txt is of other keys; of these are\n%s", w.searched(partition, len(lines)))
		}
		people = append(people, p)
	}
	return people
}

// searched finds the numbers of that many people whose accounts are in a bucket.
func (w *world) searched(partition, n int) string {
	var found strings.Builder
	for i := 0; n > 0; i++ {
		if session.Partition(w.UserOf(token.KeyAccount(person(i)))) == partition {
			fmt.Fprintln(&found, i)
			n--
		}
	}
	return found.String()
}
