package upgrade_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
)

// A dump is what a Redis stores, as the commands that store it again: one a
// line, with its arguments in Go's notation. TTLs are those of the moment of
// the dump.

// dump returns all keys of a test, sorted.
func dump(t *testing.T, r redistest.Redis) string {
	t.Helper()
	ctx, c := context.Background(), r.Client()
	var b strings.Builder
	line := func(arguments ...string) {
		for i, a := range arguments {
			if arguments[i] = strconv.QuoteToASCII(a); i == 0 {
				arguments[i] = a
			}
		}
		fmt.Fprintln(&b, strings.Join(arguments, " "))
	}
	keys := r.Keys(t, r.Prefix+":*")
	slices.Sort(keys)
	for _, key := range keys {
		values := valuesOf(t, r, key)
		switch kind := c.Type(ctx, key).Val(); kind {
		case "string":
			line("SET", key, values[0])
		case "list":
			line(append([]string{"RPUSH", key}, values...)...)
		case "set":
			line(append([]string{"SADD", key}, values...)...)
		case "hash":
			for field, value := range c.HGetAll(ctx, key).Val() {
				line("HSET", key, field, value)
			}
		case "zset":
			for _, z := range c.ZRangeWithScores(ctx, key, 0, -1).Val() {
				line("ZADD", key, strconv.FormatFloat(z.Score, 'f', -1, 64), fmt.Sprint(z.Member))
			}
		}
		if left := c.PTTL(ctx, key).Val(); left > 0 {
			line("PEXPIRE", key, strconv.FormatInt(left.Milliseconds(), 10))
		}
	}
	return b.String()
}

// command is one line of a dump, without notation.
type command []string

// parseDump returns the commands of a dump.
func parseDump(t *testing.T, text string) (commands []command) {
	t.Helper()
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		c := command{name}
		for rest != "" {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			argument, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			c = append(c, argument)
			rest = strings.TrimPrefix(rest[len(quoted):], " ")
		}
		commands = append(commands, c)
	}
	return commands
}

// load stores a dump.
func load(t *testing.T, r redistest.Redis, commands []command) {
	t.Helper()
	for _, c := range commands {
		arguments := make([]any, len(c))
		for i, a := range c {
			arguments[i] = a
		}
		if err := r.Client().Do(context.Background(), arguments...).Err(); err != nil {
			t.Fatalf("%q: %v", c, err)
		}
	}
}
