package boot

import (
	"bytes"
	"context"
	"net"
)

// mostHeld bounds what is kept back of a request. Beside so much a system call more does not count.
const mostHeld = 64 << 10

var (
	post      = []byte("POST ")
	chunked   = []byte("\r\nTransfer-Encoding: chunked")
	emptyLine = []byte("\r\n\r\n")
)

// wholeConn sends a chunked request at once. net/http hands over its head, its body and its end one by one, and each would
// be a system call, and a packet, of its own.
type wholeConn struct {
	net.Conn
	held []byte
}

// Write implements net.Conn. A chunked request ends with an empty line (RFC 9112, section 7.1), and so does its head, behind
// which more is bound to come; any other empty line in it sends a part too early, which does no harm.
func (c *wholeConn) Write(p []byte) (int, error) {
	if len(c.held) == 0 && !beginsChunked(p) {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	headOnly := bytes.Index(c.held, emptyLine) == len(c.held)-len(emptyLine)
	if (headOnly || !bytes.HasSuffix(c.held, emptyLine)) && len(c.held) < mostHeld {
		return len(p), nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func beginsChunked(p []byte) bool {
	head, _, _ := bytes.Cut(p, emptyLine)
	return bytes.HasPrefix(head, post) && bytes.Contains(head, chunked)
}

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// sendWhole makes a dialler's connections send chunked requests at once.
func sendWhole(d dial) dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &wholeConn{Conn: conn}, nil
	}
}
