package redistest

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// CountingClient is a client that counts round trips to Redis: how often it
// sent something and had to wait. A pipeline is one round trip.
type CountingClient struct {
	*redis.Client
	roundTrips, unlinks *atomic.Int64
}

// Counting returns a client that counts, with the credentials of
// [Redis.Product]. Connecting is not counted, as long as the commands follow
// each other. A second connection is counted, since it begins with a handshake.
// UNLINK is counted apart: see [CountingClient.Unlinks]. Counting works for a
// single server only.
func Counting(t testing.TB, r Redis) *CountingClient {
	t.Helper()
	roundTrips, unlinks := new(atomic.Int64), new(atomic.Int64)
	opts := r.ProductOptions()
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countingConn{Conn: conn, roundTrips: roundTrips, unlinks: unlinks}, nil
	}
	c := &CountingClient{Client: redis.NewClient(opts), roundTrips: roundTrips, unlinks: unlinks}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(context.Background()).Err(); err != nil {
		t.Fatalf("connecting to count: %v", err)
	}
	c.Reset()
	return c
}

// RoundTrips returns the number of round trips since Counting or the last
// Reset.
func (c *CountingClient) RoundTrips() int { return int(c.roundTrips.Load()) }

// Unlinks returns the number of round trips that began with the command UNLINK.
// RoundTrips does not include them. A session that a script ends, without
// knowing beforehand which one, leaves payload and state, whose keys it could
// not declare. The store unlinks them afterwards, in a round trip that the
// bounds on round trips do not include, since no answer depends on it.
func (c *CountingClient) Unlinks() int { return int(c.unlinks.Load()) }

// Reset starts counting again from zero.
func (c *CountingClient) Reset() {
	c.roundTrips.Store(0)
	c.unlinks.Store(0)
}

// countingConn counts the bursts of writes: a write that follows a read, or is
// the first of the connection, begins a new round trip. A request too long for
// one write is still one burst.
type countingConn struct {
	net.Conn
	roundTrips, unlinks *atomic.Int64
	writing             atomic.Bool
}

func (c *countingConn) Write(b []byte) (int, error) {
	switch {
	case c.writing.Swap(true):
	case isUnlink(b):
		c.unlinks.Add(1)
	default:
		c.roundTrips.Add(1)
	}
	return c.Conn.Write(b)
}

// isUnlink reports whether a burst begins with the command UNLINK: the number
// of its words, and then the first of them, each with its length.
func isUnlink(burst []byte) bool {
	_, words, _ := bytes.Cut(burst, []byte("\r\n"))
	return bytes.HasPrefix(words, []byte("$6\r\nunlink\r\n"))
}

func (c *countingConn) Read(b []byte) (int, error) {
	c.writing.Store(false)
	return c.Conn.Read(b)
}
