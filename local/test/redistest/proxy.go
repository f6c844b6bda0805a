package redistest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Fault is what a Proxy does to a request.
type Fault int

// The faults.
const (
	// None passes the request on, and the reply back.
	None Fault = iota
	// CutBefore closes the connection before Redis has seen the request.
	CutBefore
	// CutAfter passes the request on, and closes the connection instead of
	// passing the reply back.
	CutAfter
	// Silence passes the request on. It drops the reply and everything after it
	// on that connection, which stays open.
	Silence
	// Swallow drops the request and everything after it on that connection,
	// which stays open, as in a network that loses packets.
	Swallow
	// Late is like Swallow, but the request arrives later: [Proxy.Deliver]
	// passes it on, when the client has long given up.
	Late
)

// Proxy is a proxy between clients and one server, on its own address. It does
// to requests what a test says. No existing tool was found that can hit a
// single request of a protocol and distinguish "before it ran" from "after".
type Proxy struct {
	Addr   string
	target atomic.Pointer[string]
	decide atomic.Pointer[func(request []byte) Fault]
	listen net.Listener

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
	late   []*link
	wait   sync.WaitGroup
}

// NewProxy starts a proxy for a server. At first it passes everything on. It
// ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{open: map[net.Conn]bool{}}
	p.target.Store(&target)
	listen, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	p.listen, p.Addr = listen, listen.Addr().String()
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = listen.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.Cut()
		p.wait.Wait()
	})
	return p
}

// Decide sets the function that chooses the fault of every request from now on.
// Nil means that all pass. It is called from several goroutines at once. A
// request is what a client sent in one write: a command, or a pipeline of
// several.
func (p *Proxy) Decide(decide func(request []byte) Fault) {
	if decide == nil {
		p.decide.Store(nil)
		return
	}
	p.decide.Store(&decide)
}

// Once applies fault to the first request for which want returns true, and
// passes all others on. The function that it returns returns how often the
// fault was applied: 0 or 1.
func (p *Proxy) Once(fault Fault, want func(request []byte) bool) (struck func() int) {
	var n atomic.Int64
	p.Decide(func(request []byte) Fault {
		if want(request) && n.CompareAndSwap(0, 1) {
			return fault
		}
		return None
	})
	return func() int { return int(n.Load()) }
}

// Script reports whether a request runs a script.
func Script(request []byte) bool { return bytes.Contains(request, []byte("evalsha")) }

// Lead makes new connections go to another server, and closes the open ones.
// That is what happens when a name is given to a new primary.
func (p *Proxy) Lead(target string) {
	p.target.Store(&target)
	p.Cut()
}

// Deliver passes on the requests that were Late, and returns how many of them
// the server has answered. Requests whose connection [Proxy.Cut] has closed are
// lost.
func (p *Proxy) Deliver() (delivered int) {
	p.mu.Lock()
	late := p.late
	p.late = nil
	p.mu.Unlock()
	for _, l := range late {
		if _, err := l.server.Write(l.kept); err == nil {
			<-l.answered
			delivered++
		}
		_ = l.server.Close()
	}
	return delivered
}

// Cut closes all open connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp4", *p.target.Load())
		if err != nil {
			_ = client.Close() // as if the server were down
			continue
		}
		if !p.register(client, server) {
			return
		}
		link := &link{proxy: p, client: client, server: server, answered: make(chan struct{})}
		p.wait.Go(link.requests)
		p.wait.Go(link.replies)
	}
}

// register notes connections for Cut. If the proxy has ended, it closes them
// and returns false.
func (p *Proxy) register(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.open[conn] = true
		if p.closed {
			_ = conn.Close()
		}
	}
	return !p.closed
}

// link is a client's connection, with the connection to the server that belongs
// to it.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	fate           atomic.Int64 // the Fault that was applied
	kept           []byte       // the request that is Late
	answered       chan struct{}
}

// stash keeps a request for Deliver.
func (l *link) stash(request []byte) {
	if l.kept != nil {
		return
	}
	l.kept = bytes.Clone(request)
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.proxy.late = append(l.proxy.late, l)
}

// leave closes the link after the client has closed its connection. What the
// client sent may still have to be delivered.
func (l *link) leave() {
	if Fault(l.fate.Load()) == Late {
		_ = l.client.Close()
		return
	}
	l.close()
}

func (l *link) close() {
	_, _ = l.client.Close(), l.server.Close()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.open, l.client)
	delete(l.proxy.open, l.server)
}

func (l *link) requests() {
	defer l.leave()
	buffer := make([]byte, 256<<10)
	for {
		n, err := l.client.Read(buffer)
		if err != nil {
			return
		}
		if decide := l.proxy.decide.Load(); decide != nil && Fault(l.fate.Load()) == None {
			l.fate.Store(int64((*decide)(buffer[:n])))
		}
		switch Fault(l.fate.Load()) {
		case CutBefore:
			return
		case Swallow:
			continue
		case Late:
			l.stash(buffer[:n])
			continue
		}
		if _, err := l.server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (l *link) replies() {
	defer close(l.answered)
	defer l.close()
	buffer := make([]byte, 256<<10)
	for {
		n, err := l.server.Read(buffer)
		if err != nil {
			return
		}
		switch Fault(l.fate.Load()) {
		case CutAfter, Late:
			return
		case Silence:
			continue
		}
		if _, err := l.client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Proxies are proxies for the nodes of a cluster, or for one server. The keys
// are the addresses of the servers.
type Proxies map[string]*Proxy

// NewProxies starts a proxy for each address.
func NewProxies(t testing.TB, addrs ...string) Proxies {
	t.Helper()
	all := Proxies{}
	for _, addr := range addrs {
		all[addr] = NewProxy(t, addr)
	}
	return all
}

// Decide sets the function of all of them, see [Proxy.Decide].
func (p Proxies) Decide(decide func(request []byte) Fault) {
	for _, proxy := range p {
		proxy.Decide(decide)
	}
}

// Cut closes all open connections of all of them.
func (p Proxies) Cut() {
	for _, proxy := range p {
		proxy.Cut()
	}
}

// Between makes a client connect through the proxies from now on.
func (p Proxies) Between(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(p) })
		return
	}
	client.AddHook(p)
}

// DialHook implements [redis.Hook].
func (p Proxies) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if proxy, ok := p[addr]; ok {
			return next(ctx, network, proxy.Addr)
		}
		return nil, errors.New("there is no proxy for " + addr)
	}
}

// ProcessHook implements [redis.Hook].
func (Proxies) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements [redis.Hook].
func (Proxies) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Delay returns a function for [Proxy.Decide]. It delays every request for
// which want returns true by d, and passes all on.
func Delay(d time.Duration, want func(request []byte) bool) func(request []byte) Fault {
	return func(request []byte) Fault {
		if want(request) {
			time.Sleep(d)
		}
		return None
	}
}
