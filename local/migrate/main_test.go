package main // run is not exported: a command has no other package

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
)

// environment returns variables that lead to this Redis, as a user that may scan.
func environment(t *testing.T, r redistest.Redis) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"REDIS_HOST": host, "REDIS_PORT": port, "REDIS_KEY_PREFIX": r.Prefix}
	if r.Nodes != nil {
		env["REDIS_CLUSTER"] = "true"
	}
	if r.Mini == nil {
		env["REDIS_USERNAME"], env["REDIS_PASSWORD"] = r.Username, r.Password
		r.EachPrimary(t, func(node *redis.Client) {
			if err := node.ACLSetUser(t.Context(), r.Username, "+scan", "+pttl").Err(); err != nil {
				t.Error(err)
			}
		})
	}
	return env
}

// migrated runs the command.
func migrated(env map[string]string, args ...string) (out, errs string, err error) {
	var o, e bytes.Buffer
	err = run(context.Background(), args, func(name string) string { return env[name] }, &o, &e)
	return o.String(), e.String(), err
}

func TestRun(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		env := environment(t, r)
		env["PREFERENCES_DAYS"] = "2"
		key := r.Prefix + ":{b3f}:p\xb3\xf0 sixteen bytes"[:len(":{b3f}:p")+16]
		if err := r.Client().Set(t.Context(), key, "sealed", 0).Err(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			args []string
			says string
			ttl  time.Duration
		}{
			{[]string{"-dry-run"}, "TTLs that would be set: 1 of preferences, 0 of accounts. To add to the registry: 0 accounts.\n", -1},
			{[]string{"-pause", "1ms"}, "TTLs set: 1 of preferences, 0 of accounts. Added to the registry: 0 accounts.\n", 48 * time.Hour},
			{nil, "TTLs set: 0 of preferences, 0 of accounts. Added to the registry: 0 accounts.\n", 48 * time.Hour},
		} {
			out, errs, err := migrated(env, c.args...)
			if out != c.says || errs != "" || err != nil {
				t.Errorf("%q: %q, %q, %v", c.args, out, errs, err)
			}
			if ttl := r.Client().PTTL(t.Context(), key).Val(); ttl > c.ttl || ttl < c.ttl-time.Minute {
				t.Errorf("%q: the preferences are kept for %v, want %v", c.args, ttl, c.ttl)
			}
		}
	})
}

// A record that cannot be read is reported.
func TestRun_damaged(t *testing.T) {
	r := redistest.Embedded(t)
	key := r.Prefix + ":{b3f}:u\xb3\xf0 sixteen bytes"[:len(":{b3f}:u")+16]
	if err := r.Client().Set(t.Context(), key, "of another version", 0).Err(); err != nil {
		t.Fatal(err)
	}
	out, _, err := migrated(environment(t, r))
	if !strings.Contains(out, "cannot be read, and are left alone: 1.") || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

// What is wrong is said, with what to do; a migration that Redis stops is not reported as done.
func TestRun_refuses(t *testing.T) {
	r := redistest.Embedded(t)
	for name, c := range map[string]struct {
		args []string
		set  [2]string
		says string
	}{
		"an argument":          {[]string{"now"}, [2]string{}, `unexpected argument "now"`},
		"an unknown flag":      {[]string{"-force"}, [2]string{}, "-force"},
		"a configuration":      {nil, [2]string{"PREFERENCES_DAYS", "0"}, "PREFERENCES_DAYS"},
		"no Redis":             {nil, [2]string{"REDIS_HOST", ""}, "REDIS_HOST: is needed"},
		"a Redis that is away": {nil, [2]string{"REDIS_PORT", "1"}, "run it again"},
	} {
		env := environment(t, r)
		env[c.set[0]] = c.set[1]
		if _, _, err := migrated(env, c.args...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if out, errs, err := migrated(nil, "-help"); out != "" || !strings.Contains(errs, "-dry-run") || err != nil {
		t.Errorf("help: %q, %q, %v", out, errs, err)
	}
}
