package faults_test

import (
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// TestCluster is what befalls a cluster: slots that move, memory that is full, primaries that are lost. One cluster serves
// for all of it, the least destructive first.
func TestCluster(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		t.Parallel()
		c := e.ClusterWith(t)
		t.Run("slot half moved", func(t *testing.T) { testHalfMoved(t, c) })
		t.Run("slots moving under load", func(t *testing.T) { testMovingLoad(t, c) })
		t.Run("memory full", func(t *testing.T) { testMemoryFull(t, onCluster(t, c)) })
		t.Run("lost writes", func(t *testing.T) { testLostWrites(t, c) })
		t.Run("failover", func(t *testing.T) { testFailover(t, c) })
		t.Run("no failover", func(t *testing.T) { testNoFailover(t, c) })
	})
}

// onCluster makes a world on that cluster. What the one before has left is deleted: its clock was ahead of this one's, so
// that its rate limits would refuse what comes now, for as long as Redis keeps them.
func onCluster(t *testing.T, c *redistest.OwnCluster, change ...func(*session.Options)) *world {
	t.Helper()
	w := newWorld(t, c.Redis, nil, change...)
	w.clear()
	return w
}
