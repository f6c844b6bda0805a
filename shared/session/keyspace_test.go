package session_test

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Invariant 7: after a login Redis holds nothing that can be read, in keys or in values.
func TestRedis_nothingToRead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		withID := laptop
		withID.Device.ID = "a-device-id-of-its-own"
		nonce, _, err := w.IssueNonce(ctx, terms)
		must(t, err)
		must(t, w.SpendNonce(ctx, nonce, terms))
		g, err := w.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(alice), ChainID: 8453, Client: withID})
		must(t, err)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, withID)
		must(t, err)
		w.signIn(alice, phone)

		dump := w.dump()
		if len(dump) != 8 { // two nonces, a record, two payloads, an activity, the bucket's counters and index
			t.Errorf("%d keys", len(dump))
		}
		ip, ip6 := laptop.IP.As4(), phone.IP.As16()
		secrets := map[string][]byte{
			"address": alice[:], "ip": ip[:], "ipv6": ip6[:], "network": ip6[:8], "nonce": []byte(nonce), "browser cookie": []byte(terms.Browser),
			"device id": []byte(withID.Device.ID), "device name": []byte(laptop.Device.Name), "browser": []byte("Firefox"), "os": []byte("Linux"),
			"address text": []byte(alice.Hex()[2:]), "ip text": []byte(laptop.IP.String()), "ipv6 text": []byte("2001:db8"),
		}
		for i, text := range []string{g.AccessToken, g.RefreshToken, next.AccessToken, next.RefreshToken} {
			raw, err := base64.RawURLEncoding.DecodeString(text[4:])
			must(t, err)
			secrets[fmt.Sprint("token ", i)] = []byte(text)
			secrets[fmt.Sprint("first half of token secret ", i)] = raw[41:57]
			secrets[fmt.Sprint("second half of token secret ", i)] = raw[57:73]
		}
		for name, secret := range secrets {
			for spelling, bytes := range map[string]string{
				"as it is": string(secret), "in lower case": strings.ToLower(string(secret)),
				"in hex": hex.EncodeToString(secret), "in base64": base64.RawStdEncoding.EncodeToString(secret),
			} {
				if contains(dump, []byte(bytes)) {
					t.Errorf("Redis holds the %s %s", name, spelling)
				}
			}
		}
	})
}

// Round trips: validate 1, refresh 1, logout 1, nonce 1, login 2.
func TestStore_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		story(t, w, w.Store) // so that the scripts are loaded
		_, err := w.Check(ctx)
		must(t, err)
		w = newWorld(t, r)
		counting := redistest.Counting(t, r)
		s := w.on(counting, w.clock)
		expect := func(name string, roundTrips int) {
			t.Helper()
			if n := counting.RoundTrips(); n != roundTrips {
				t.Errorf("%s took %d round trips, want %d", name, n, roundTrips)
			}
			counting.Reset()
		}
		nonce, _, err := s.IssueNonce(ctx, terms)
		must(t, err)
		expect("nonce", 1)
		must(t, s.SpendNonce(ctx, nonce, terms))
		g, err := s.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(alice), Client: laptop})
		must(t, err)
		expect("login", 2)
		_, err = s.Validate(ctx, g.AccessToken, laptop)
		must(t, err)
		expect("validate", 1)
		w.clock.add(time.Minute)
		_, err = s.Validate(ctx, g.AccessToken, laptop)
		must(t, err)
		expect("validate with touch", 2)
		a, _, err := s.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		expect("profile", 1)
		_, err = s.Sessions(ctx, a)
		must(t, err)
		expect("list, after the validation", 1)
		_, _, err = s.Activity(ctx, g.User.ID, "", 10)
		must(t, err)
		expect("activity", 1)
		_, err = s.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		expect("refresh", 1)
		other := w.signIn(alice, phone)
		_, err = s.Revoke(ctx, other.Session.ID, session.Revoked, session.Change{Actor: laptop.Actor()})
		must(t, err)
		expect("revoke", 1)
		_, err = s.RevokeOthers(ctx, g.Session.ID, session.Revoked, laptop.Actor())
		must(t, err)
		expect("revoke all others", 1)
		a, err = s.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		_, err = s.StepUp(ctx, a, laptop, nil)
		must(t, err)
		expect("step-up", 2)
		must(t, s.Block(ctx, s.UserOf(token.KeyAccount(bob)), session.Change{Actor: laptop.Actor()}))
		expect("block", 2) // the roles first: the last admin is not blocked
		_, err = s.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		expect("logout", 1)
		_, err = s.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		must(t, err)
		expect("logout everywhere", 1)
		_, err = s.Check(ctx)
		must(t, err)
		expect("health", 1)
	})
}

// Every key that a script touches is in its KEYS, and all keys of a script are in one slot.
func TestScripts_declareTheirKeys(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		w := newWorld(t, own.Redis, small)
		lines := monitor(t, own.Addr)
		story(t, w, w.Store)
		dataStory(t, w, w.Store)
		must(t, w.rdb.Echo(ctx, "end of story").Err())

		seen := map[string]int{}
		var declared []string
		for line := range lines {
			args := arguments(t, line)
			if args[0] == "echo" {
				break
			}
			fromScript := strings.Contains(line, " lua] ")
			if !fromScript && (args[0] == "evalsha" || args[0] == "eval") {
				n, err := strconv.Atoi(args[2])
				must(t, err)
				declared = args[3 : 3+n]
				oneTag(t, declared)
				continue
			}
			if !fromScript {
				continue
			}
			seen[args[0]]++
			for _, key := range keysOf(t, args) {
				if !slices.Contains(declared, key) {
					t.Errorf("a script touched %q, its KEYS are %q: %s", key, declared, line)
				}
			}
		}
		for _, command := range []string{"GET", "SET", "SETRANGE", "UNLINK", "PERSIST"} {
			if seen[command] == 0 {
				t.Errorf("the story ran no %s in a script: this test saw %v", command, seen)
			}
		}
	})
}

// oneTag asserts that keys share the part that chooses their cluster slot.
func oneTag(t *testing.T, keys []string) {
	t.Helper()
	for _, key := range keys {
		if len(keys) > 1 && tag(key) != tag(keys[0]) {
			t.Errorf("keys %q are not in one slot", keys)
		}
	}
}

func tag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	inside, _, _ := strings.Cut(rest, "}")
	return inside
}

func keysOf(t *testing.T, args []string) []string {
	t.Helper()
	switch strings.ToUpper(args[0]) {
	case "GET", "SET", "SETRANGE", "EXISTS", "PERSIST", "PEXPIRE",
		"ZSCORE", "ZCARD", "ZADD", "ZREM", "LPUSH", "LTRIM", "LRANGE", "LINDEX", "RPOP", "SCARD", "SISMEMBER", "SREM",
		"INCR", "HGET", "HGETALL", "HSET", "HDEL", "HVALS", "HLEN":
		return args[1:2]
	case "UNLINK":
		return args[1:]
	}
	t.Errorf("scripts use %q: teach this test which arguments are keys", args[0])
	return nil
}

// monitor is what MONITOR prints from now on.
func monitor(t *testing.T, addr string) <-chan string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte("MONITOR\r\n"))
	must(t, err)
	in := bufio.NewReader(conn)
	ok, err := in.ReadString('\n')
	must(t, err)
	if !strings.HasPrefix(ok, "+OK") {
		t.Fatalf("MONITOR answered %q", ok)
	}
	lines := make(chan string, 10000)
	go func() {
		defer close(lines)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			lines <- line
		}
	}()
	return lines
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// arguments are the words of a MONITOR line, unquoted.
func arguments(t *testing.T, line string) []string {
	t.Helper()
	var args []string
	for _, word := range quoted.FindAllString(line, -1) {
		arg, err := strconv.Unquote(word)
		must(t, err)
		args = append(args, arg)
	}
	if len(args) == 0 {
		t.Fatalf("cannot read %q", line)
	}
	return args
}

// On a cluster all that belongs to a subject lies in one slot, and the subjects over all primaries. That no script met a
// second slot is looked at by redistest.Cluster, for each test that runs there.
func TestKeys_spread(t *testing.T) {
	const people = 250
	r := redistest.Cluster(t)
	w := newWorld(t, r)
	for n := range people {
		_, err := w.Create(ctx, w.as(n, "a"))
		must(t, err)
		issues(t, w.Store, from(fmt.Sprintf("203.%d.113.7", n))) // of another network each, since those of one share a slot
	}
	slots, nonces := map[int64]bool{}, map[int64]bool{}
	var nodes []int
	r.EachPrimary(t, func(node *redis.Client) {
		keys, err := node.Keys(ctx, w.opts.Prefix+":*").Result()
		must(t, err)
		nodes = append(nodes, len(keys))
		for _, key := range keys {
			slot := node.ClusterKeySlot(ctx, key).Val()
			if _, name, _ := strings.Cut(key, "}:"); strings.HasPrefix(name, "n") {
				nonces[slot] = true
			} else {
				slots[slot] = true
			}
		}
	})
	// Of 4096 buckets 250 people hit 243 on average, and as many networks 242 of the 3844 tags of nonces.
	if len(slots) < 210 || len(slots) > people || len(nonces) < 210 {
		t.Errorf("%d subjects in %d slots, %d nonces in %d", people, len(slots), people, len(nonces))
	}
	total := 0
	for _, n := range nodes {
		total += n
	}
	for _, n := range nodes {
		if n < total/5 {
			t.Errorf("the primaries hold %v keys", nodes)
			break
		}
	}
}
