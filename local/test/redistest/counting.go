package redistest

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// CountingClient is a client that counts round trips to Redis: how often it had
// to send something and wait. A pipeline is one.
type CountingClient struct {
	*redis.Client
	roundTrips *atomic.Int64
}

// Counting returns another client as Product is, one that counts. What connecting costs is not
// counted, as long as commands follow each other; a second connection is, since
// it opens with a handshake. It is of a single server.
func Counting(t testing.TB, r Redis) *CountingClient {
	t.Helper()
	roundTrips := new(atomic.Int64)
	opts := r.ProductOptions()
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countingConn{Conn: conn, roundTrips: roundTrips}, nil
	}
	c := &CountingClient{Client: redis.NewClient(opts), roundTrips: roundTrips}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(context.Background()).Err(); err != nil {
		t.Fatalf("connecting to count: %v", err)
	}
	c.Reset()
	return c
}

// RoundTrips returns the number of round trips since Counting or the last Reset.
func (c *CountingClient) RoundTrips() int { return int(c.roundTrips.Load()) }

// Reset starts counting again from zero.
func (c *CountingClient) Reset() { c.roundTrips.Store(0) }

// countingConn counts the bursts of writes: a write that follows a read, or is
// the first of the connection, begins a new round trip. A request too long for
// one write is still one burst.
type countingConn struct {
	net.Conn
	roundTrips *atomic.Int64
	writing    atomic.Bool
}

func (c *countingConn) Write(b []byte) (int, error) {
	if !c.writing.Swap(true) {
		c.roundTrips.Add(1)
	}
	return c.Conn.Write(b)
}

func (c *countingConn) Read(b []byte) (int, error) {
	c.writing.Store(false)
	return c.Conn.Read(b)
}
