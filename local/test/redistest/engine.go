package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// Engine is a kind of server.
type Engine string

// The engines. Tests of what is stored, of access and of faults run on both.
const (
	// EngineRedis is redis-server.
	EngineRedis Engine = "redis"
	// EngineValkey is valkey-server, which the template deploys.
	EngineValkey Engine = "valkey"
)

// engines are all engines. If a test may use any of them, it uses the first one
// that is installed.
var engines = []Engine{EngineRedis, EngineValkey}

// EachEngine runs test for the two kinds of server, as the subtests "redis" and
// "valkey". If one is not installed, its subtest is skipped; with CI=true it
// fails instead.
func EachEngine(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			e.find(t)
			test(t, e)
		})
	}
}

// installed returns the first engine that is installed. If none is, it ends the
// test: as a failure in CI, and otherwise as a skip.
func installed(t testing.TB) Engine {
	t.Helper()
	for _, e := range engines {
		if _, err := exec.LookPath(e.program()); err == nil {
			return e
		}
	}
	EngineRedis.find(t)
	return ""
}

func (e Engine) program() string { return string(e) + "-server" }

// cluster returns the name of a cluster of this engine.
func (e Engine) cluster() string { return string(e) + "-cluster" }

// howToGet is the message for a machine without the engine.
func (e Engine) howToGet() string {
	return fmt.Sprintf("no %[1]s-server found: apt-get install %[1]s-server (or brew install %[1]s)", e)
}

// missing has the engines whose absence was reported on standard error.
var missing sync.Map

// find returns the path of the server. If it is not installed, find ends the
// test: as a failure in CI, and otherwise as a skip that says how to install
// it.
func (e Engine) find(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath(e.program())
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatal(e.howToGet())
	}
	if _, reported := missing.LoadOrStore(e, true); !reported {
		fmt.Fprintln(os.Stderr, e.howToGet()+"; tests that need it are skipped")
	}
	t.Skip(e.howToGet())
	return ""
}

// sharedServers are the servers of an engine that all tests of this binary
// share. They start when they are first needed. The functions keep the
// processes until the binary ends: if one were collected, its pipe would be
// closed, and that would end the server.
type sharedServers struct {
	single  func() (*process, error)
	cluster func() ([]*process, error)
}

var shared = map[Engine]sharedServers{
	EngineRedis:  newSharedServers(EngineRedis),
	EngineValkey: newSharedServers(EngineValkey),
}

func newSharedServers(e Engine) sharedServers {
	return sharedServers{
		single:  sync.OnceValues(func() (*process, error) { return start(e, inspector) }),
		cluster: sync.OnceValues(func() ([]*process, error) { return startCluster(e) }),
	}
}
