package lambdahttp

import (
	"bytes"
	"context"
	"net"
)

// maxPending bounds how much of a request is kept back. Compared with sending
// so much, one more system call does not matter.
const maxPending = 64 << 10

var (
	post      = []byte("POST ")
	chunked   = []byte("\r\nTransfer-Encoding: chunked")
	emptyLine = []byte("\r\n\r\n")
)

// coalescingConn sends a chunked request in one write. net/http writes its
// head, its body and its end one by one, and each would be a system call and a
// packet.
type coalescingConn struct {
	net.Conn
	pending []byte
}

// Write implements [net.Conn]. A chunked request ends with an empty line (RFC
// 9112, section 7.1). So does its head, but more must follow that. Any other
// empty line in the request makes a part of it be sent early, which does no
// harm.
func (c *coalescingConn) Write(p []byte) (int, error) {
	if len(c.pending) == 0 && !beginsChunked(p) {
		return c.Conn.Write(p)
	}
	c.pending = append(c.pending, p...)
	headOnly := bytes.Index(c.pending, emptyLine) == len(c.pending)-len(emptyLine)
	if (headOnly || !bytes.HasSuffix(c.pending, emptyLine)) && len(c.pending) < maxPending {
		return len(p), nil
	}
	_, err := c.Conn.Write(c.pending)
	c.pending = c.pending[:0]
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func beginsChunked(p []byte) bool {
	head, _, _ := bytes.Cut(p, emptyLine)
	return bytes.HasPrefix(head, post) && bytes.Contains(head, chunked)
}

// dialFunc has the form of [net.Dialer.DialContext].
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Coalesce makes the connections that dial opens send each chunked POST request
// of net/http in one write, if it is not larger than 64 KiB. Other requests
// pass unchanged. The client of Lambda's Runtime API sends every response that
// way.
func Coalesce(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &coalescingConn{Conn: conn}, nil
	}
}
