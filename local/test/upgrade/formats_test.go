package upgrade_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
)

// formats check values as 0.1.0 reads them, by the kind in their keys. The
// numbers are those of its layouts, and must not be taken from the code: a
// version that writes another layout needs a fixture of its own, and cannot be
// rolled back. shared/session/keyspace.go lists the kinds.
var formats = map[string]func(value string) bool{
	"u": isRecord,
	"s": isSealed,
	"p": isSealed,
	"d": func(item string) bool { return len(item) > 10 && isSealed(item[10:]) },
	// It has no name for the type 12, and lists it as unknown: see testTickets.
	// It leaves out an event of the time 0, as too old, whatever its type.
	"a": func(event string) bool {
		return len(event) >= 31 && (event[0] >= 1 && event[0] <= 12 || event[:7] == "\x00\x00\x00\x00\x00\x00\x00")
	},
	"c": isCounters,
	"x": func(member string) bool { return len(member) == 16 },
	"n": func(nonce string) bool {
		return len(nonce) == 25 && nonce[0] == 'i' || len(nonce) == 31 && nonce[0] == 's'
	},
	"l": func(limit string) bool { return len(limit) == 6 },
}

// isRecord reports whether a record has format 1: a head of 34 bytes, of which
// the last three count what follows, live sessions of 185 bytes and ended ones
// of 35.
func isRecord(raw string) bool {
	return len(raw) >= 34 && raw[0] == 1 &&
		len(raw) == 34+int(raw[31])+int(raw[32])*185+int(raw[33])*35
}

// isSealed reports whether a value is sealed in format 1: the format, a key id
// of 4 bytes, a nonce of 12, the sealed bytes and a tag of 16.
func isSealed(raw string) bool { return len(raw) >= 1+4+12+16 && raw[0] == 1 }

// isCounters reports whether counters have format 1: 20 bytes, of which the
// last counts the chains of 11, and hourly counts of 7.
func isCounters(raw string) bool {
	return len(raw) >= 20 && raw[0] == 1 && len(raw) >= 20+int(raw[19])*11 &&
		(len(raw)-20-int(raw[19])*11)%7 == 0
}

// kindOf finds the hash tag of a key, and the kind after it.
var kindOf = regexp.MustCompile(`(?s)^[a-z0-9-]+:\{([^}]+)\}:(.)`)

// checkFormats reports every stored value that 0.1.0 would not read.
func checkFormats(t *testing.T, r redistest.Redis) {
	t.Helper()
	seen := map[string]bool{}
	for _, key := range r.Keys(t, r.Prefix+":*") {
		m := kindOf.FindStringSubmatch(key)
		if m == nil || formats[m[2]] == nil {
			continue // one that 0.1.0 does not know, or that has no layout
		}
		for _, value := range valuesOf(t, r, key) {
			seen[m[2]] = true
			if !formats[m[2]](value) {
				t.Errorf("%q has a value that 0.1.0 does not read: %q", key, value)
			}
		}
	}
	for _, kind := range []string{"u", "s", "a", "c", "x"} {
		if !seen[kind] {
			t.Errorf("no value of the kind %s is stored", kind)
		}
	}
}

// valuesOf returns the value of a key, or its members.
func valuesOf(t *testing.T, r redistest.Redis, key string) (values []string) {
	t.Helper()
	ctx, c := context.Background(), r.Client()
	kind, err := c.Type(ctx, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "string":
		var value string
		value, err = c.Get(ctx, key).Result()
		values = []string{value}
	case "hash":
		var fields map[string]string
		fields, err = c.HGetAll(ctx, key).Result()
		delete(fields, "w") // the proof of a contract's session; 0.1.0 opens no state of one
		values = slices.Collect(maps.Values(fields))
	case "list":
		values, err = c.LRange(ctx, key, 0, -1).Result()
	case "zset":
		values, err = c.ZRange(ctx, key, 0, -1).Result()
	case "set":
		values, err = c.SMembers(ctx, key).Result()
	case "none": // expired meanwhile
	default:
		err = fmt.Errorf("%q is a %s", key, kind)
	}
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return values
}
