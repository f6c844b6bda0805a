package faults_test

import (
	"testing"

	"latchkey/local/redistest"
)

// TestCluster is what befalls a cluster: slots that move, memory that is full, primaries that are lost. One cluster serves
// for all of it, the least destructive first.
func TestCluster(t *testing.T) {
	t.Parallel() // it mostly waits
	c := redistest.ClusterWith(t)
	t.Run("slot half moved", func(t *testing.T) { testHalfMoved(t, c) })
	t.Run("slots moving under load", func(t *testing.T) { testMovingLoad(t, c) })
	t.Run("memory full", func(t *testing.T) { testMemoryFull(t, c.Redis) })
	t.Run("lost writes", func(t *testing.T) { testLostWrites(t, c) })
	t.Run("failover", func(t *testing.T) { testFailover(t, c) })
	t.Run("no failover", func(t *testing.T) { testNoFailover(t, c) })
}
