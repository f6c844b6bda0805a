package faults_test

import (
	"testing"

	"latchkey/local/test/redistest"
)

// each runs a test against a server and against a cluster.
func each(t *testing.T, test func(t *testing.T, r redistest.Redis)) {
	t.Helper()
	t.Run("server", func(t *testing.T) { test(t, redistest.Server(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, redistest.Cluster(t)) })
}

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
}

func TestNoFault(t *testing.T) {
	each(t, func(t *testing.T, r redistest.Redis) { newWorld(t, r, nil).rehearse() })
}
