package redistest

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Fake is a server that speaks as much RESP as a client uses when it connects.
// It records commands, and replies to them as the test says.
type Fake struct {
	// Addr is its host:port.
	Addr string

	mu       sync.Mutex
	opened   int
	commands []string
}

// NewFake starts a server that sends what reply returns for each command, in
// RESP and with its line ends. If that is empty it hangs up. It ends with the
// test.
func NewFake(t testing.TB, reply func(command string) string) *Fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &Fake{Addr: l.Addr().String()}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			serving.Go(func() { f.serve(conn, reply) })
		}
	})
	return f
}

func (f *Fake) serve(conn net.Conn, reply func(string) string) {
	defer conn.Close()
	f.mu.Lock()
	f.opened++
	f.mu.Unlock()
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.commands = append(f.commands, command)
		f.mu.Unlock()
		text := reply(command)
		if text == "" {
			return
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
	}
}

// Seen returns how many connections were opened, and the commands in their
// order. The words of a command are joined by spaces.
func (f *Fake) Seen() (opened int, commands []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened, slices.Clone(f.commands)
}

// readCommand reads one array of bulk strings and returns it in one line.
func readCommand(in *bufio.Reader) (string, error) {
	var words []string
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	count, err := strconv.Atoi(strings.Trim(line, "*\r\n"))
	if err != nil {
		return "", err
	}
	for range count {
		if line, err = in.ReadString('\n'); err != nil {
			return "", err
		}
		size, err := strconv.Atoi(strings.Trim(line, "$\r\n"))
		if err != nil {
			return "", err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return "", err
		}
		words = append(words, string(word[:size]))
	}
	return strings.Join(words, " "), nil
}

// HelloReply is the reply to HELLO 2.
const HelloReply = "*2\r\n$5\r\nproto\r\n:2\r\n"
