package lambdahttp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"latchkey/shared/lambdahttp"
)

// counted is a connection that counts what is written to it.
type counted struct {
	net.Conn
	writes *int
}

func (c counted) Write(p []byte) (int, error) {
	*c.writes++
	return c.Conn.Write(p)
}

// A chunked request goes out in one write and arrives as it was; many of them,
// of every kind, over one connection.
func TestCoalesce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, string(body)+r.Trailer.Get("Fault"))
	}))
	t.Cleanup(server.Close)
	var writes, dials int
	transport := &http.Transport{DialContext: lambdahttp.Coalesce(func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return counted{conn, &writes}, err
	})}
	t.Cleanup(transport.CloseIdleConnections)

	const lines = "first\r\n\r\nTransfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("0123456789", 50_000)
	for _, c := range []struct {
		name, want string
		body       io.Reader // chunked, unless net/http knows how long it is
		trailer    http.Header
		most       int // writes; 0: as many as it takes
	}{
		{"chunked", "a body", struct{ io.Reader }{strings.NewReader("a body")}, nil, 1},
		{"trailer", "a bodyand a fault", struct{ io.Reader }{strings.NewReader("a body")}, http.Header{"Fault": {"and a fault"}}, 1},
		{"none", "", nil, nil, 1},
		{"empty", "", struct{ io.Reader }{strings.NewReader("")}, nil, 1},
		{"of a known length", lines, strings.NewReader(lines), nil, 1},
		{"larger than any buffer", long, struct{ io.Reader }{strings.NewReader(long)}, nil, 0},
		{"long, of a known length", long, strings.NewReader(long), nil, 0},
		{"with empty lines", lines, struct{ io.Reader }{strings.NewReader(lines)}, nil, 0},
		{"byte by byte", lines, iotest.OneByteReader(strings.NewReader(lines)), nil, 0},
		{"chunked again", "a body", struct{ io.Reader }{strings.NewReader("a body")}, nil, 1},
	} {
		writes = 0
		r, err := http.NewRequest(http.MethodPost, server.URL, c.body)
		if err != nil {
			t.Fatal(err)
		}
		r.Trailer = c.trailer
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: arrived as %.60q (%d bytes), %v; want %.60q", c.name, got, len(got), err, c.want)
		}
		if c.most > 0 && writes > c.most {
			t.Errorf("%s: %d writes, want %d", c.name, writes, c.most)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections, want one", dials)
	}
}

// However a request is cut into writes, all of it has been sent with its last
// one.
func TestCoalesce_cuts(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n\r\n\r\nab\r\n0\r\n\r\n"
	marked := strings.Index(request, "chunked") + len("chunked") // what begins with less is no business of it
	for first := marked; first <= len(request); first++ {
		for second := first; second <= len(request); second++ {
			var sent strings.Builder
			conn, err := lambdahttp.Coalesce(func(context.Context, string, string) (net.Conn, error) { return written{to: &sent}, nil })(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{request[:first], request[first:second], request[second:]} {
				if part == "" {
					continue
				}
				if n, err := io.WriteString(conn, part); n != len(part) || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			if sent.String() != request {
				t.Errorf("cut at %d and %d, %q was sent", first, second, sent.String())
			}
		}
	}
}

// written is a connection that keeps what is written.
type written struct {
	net.Conn
	to io.Writer
}

func (w written) Write(p []byte) (int, error) { return w.to.Write(p) }

// What cannot be sent fails the request.
func TestCoalesce_broken(t *testing.T) {
	transport := &http.Transport{DialContext: lambdahttp.Coalesce(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		return ours, theirs.Close()
	})}
	r, err := http.NewRequest(http.MethodPost, "http://example.com", struct{ io.Reader }{strings.NewReader("a body")})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := transport.RoundTrip(r); err == nil {
		t.Errorf("answered %s", answer.Status)
	}
}
