package script_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/script"
)

var ctx = context.Background()

// lua makes a script that ends as every script must.
func lua(lines ...string) *script.Script {
	return script.New(func() script.Source {
		s := script.Source{Text: strings.Join(lines, "\n")}
		for i := range lines {
			s.Lines = append(s.Lines, script.Line{File: "a.lua", Number: i + 1})
		}
		return s
	})
}

func TestRun(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		good := lua("redis.call('SET', KEYS[1], ARGV[1])", "return {7, 'text', 'added', ARGV[#ARGV]}")
		reply, added, err := script.Run(ctx, r.Product(), good, []string{r.Prefix + ":{x}"}, "v")
		if err != nil || reply.Outcome() != 7 || reply.Text(1) != "text" || len(reply) != 2 || added != "added" {
			t.Errorf("got %v, %q, %v", reply, added, err)
		}
		crossed := lua("return {7, '', 'another'}")
		if _, _, err := script.Run(ctx, r.Product(), crossed, nil); !errors.Is(err, script.ErrUnavailable) {
			t.Errorf("a reply to another call: %v", err)
		}
		broken := lua("local x", "return x.y")
		_, _, err = script.Run(ctx, r.Product(), broken, nil)
		if err == nil || errors.Is(err, script.ErrUnavailable) || !strings.HasSuffix(err.Error(), "(a.lua:2)") {
			t.Errorf("a broken script: %v, want the line a.lua:2", err)
		}
	})
}

// Each call of a pipeline gets its own reply, and the error names the script that
// broke.
func TestPipeline(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		one := &script.Call{Script: lua("return {1, '', ARGV[#ARGV]}")}
		two := &script.Call{Script: lua("return {2, '', ARGV[#ARGV]}")}
		if err := script.Pipeline(ctx, r.Product(), one, two); err != nil || one.Reply.Outcome() != 1 || two.Reply.Outcome() != 2 {
			t.Errorf("got %v and %v, %v", one.Reply, two.Reply, err)
		}
		broken := &script.Call{Script: lua("local x", "", "return x.y")}
		err := script.Pipeline(ctx, r.Product(), &script.Call{Script: one.Script}, broken)
		if err == nil || strings.Count(err.Error(), "(a.lua:3)") != 1 {
			t.Errorf("a broken script: %v, want the line a.lua:3 once", err)
		}
	})
}

// A call that ran keeps its reply, with what the script added, although another call failed.
func TestPipeline_partly(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		good := &script.Call{Script: lua("return {1, 'added', ARGV[#ARGV]}")}
		broken := &script.Call{Script: lua("local x", "return x.y")}
		crossed := &script.Call{Script: lua("return {1, 'added', 'another'}")}
		for _, bad := range []*script.Call{broken, crossed} {
			*good = script.Call{Script: good.Script}
			_, _, err := script.Run(ctx, r.Product(), good.Script, nil) // so that the server knows it
			if err != nil {
				t.Error(err)
			}
			err = script.Pipeline(ctx, r.Product(), bad, good)
			if err == nil || bad.Reply != nil || bad.Emitted != "" {
				t.Errorf("a call that failed: %v, %q, %v", bad.Reply, bad.Emitted, err)
			}
			if good.Reply.Outcome() != 1 || len(good.Reply) != 1 || good.Emitted != "added" {
				t.Errorf("a call that ran: %v, %q, beside %v", good.Reply, good.Emitted, err)
			}
		}
	})
}

func TestRetry(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		calls       int
		unavailable bool
	}{
		"no error":        {nil, 1, false},
		"no such key":     {redis.Nil, 1, false},
		"dead connection": {io.EOF, 2, true},
		"closed client":   {redis.ErrClosed, 1, true},
	} {
		calls := 0
		err := script.Retry(ctx, func() error { calls++; return c.err })
		if calls != c.calls || errors.Is(err, script.ErrUnavailable) != c.unavailable || !errors.Is(err, c.err) {
			t.Errorf("%s: called %d times, want %d: %v", name, calls, c.calls, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	calls := 0
	if _ = script.Retry(gone, func() error { calls++; return io.EOF }); calls != 1 {
		t.Errorf("called %d times for a caller that has gone, want once", calls)
	}
}

// An element that is missing or of another type is recognisable, and no panic.
func TestReply(t *testing.T) {
	r := script.Reply{int64(3), "text"}
	if r.Outcome() != 3 || r.Text(1) != "text" || r.Int(1) != -1 || r.Text(0) != "" || r.Int(9) != -1 || r.Text(9) != "" {
		t.Errorf("read %v as %d, %q, %d, %q", r, r.Outcome(), r.Text(1), r.Int(1), r.Text(0))
	}
}
