package faults_test

import (
	"testing"

	"latchkey/local/test/redistest"
)

// rehearse does each act without a fault: it is answered as it should be, once, and nothing is half done. After that every
// script is known to whoever serves those accounts.
func (w *world) rehearse() {
	w.t.Helper()
	for _, a := range acts {
		tr := w.try(a)
		got, err := tr.ask()
		tr.right("without a fault", got, err)
	}
	w.checkComplete()
	if n := w.leavesNothing(); n != 0 {
		w.t.Errorf("without a fault %d keys wait for their TTL", n)
	}
}

func TestNoFault(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) { newWorld(t, r, nil).rehearse() })
}
