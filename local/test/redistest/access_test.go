package redistest_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
)

// The access string names each command by itself: no category, no further keys, no
// channel, and nothing that ElastiCache refuses to see.
func TestAccess_form(t *testing.T) {
	r := redistest.Server(t)
	rules := r.Access(t)
	want := []string{"on", "~" + r.Prefix + ":*", "resetchannels", "-@all"}
	if !slices.Equal(rules[:min(4, len(rules))], want) {
		t.Fatalf("the rules are %q, and should begin with %q", rules, want)
	}
	command := regexp.MustCompile(`^\+[a-z]+(\|[a-z]+)?$`)
	for i, rule := range rules[4:] {
		if !command.MatchString(rule) || slices.Contains(rules[:4+i], rule) {
			t.Errorf("%q is no rule, or there twice", rule)
		}
	}
}

// refusals are what the product's user may not say, whatever it is for. The key {own} is
// of this test, {other} of another one.
var refusals = []string{
	"KEYS *", "SCAN 0", "DBSIZE", "RANDOMKEY", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SELECT 1",
	"CONFIG GET maxmemory", "CONFIG SET maxmemory 1", "CONFIG RESETSTAT", "CONFIG REWRITE",
	"ACL LIST", "ACL WHOAMI", "ACL SETUSER default nopass", "ACL LOG", "CLIENT LIST", "CLIENT KILL TYPE normal",
	"INFO", "MONITOR", "SLOWLOG GET", "LATENCY LATEST", "MEMORY USAGE {own}", "OBJECT ENCODING {own}", "MODULE LIST",
	"SAVE", "BGSAVE", "BGREWRITEAOF", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "FAILOVER", "SYNC", "WAIT 0 0",
	"SCRIPT FLUSH", "SCRIPT LOAD return", "SCRIPT KILL", "FUNCTION LIST", "FCALL f 0",
	"CLUSTER NODES", "CLUSTER RESET",
	"PUBLISH c m", "SPUBLISH c m", "SUBSCRIBE c", "SUBSCRIBE {own}", "PSUBSCRIBE *", "SSUBSCRIBE c", "PUBSUB CHANNELS",
	"DEL {own}", "COPY {own} {own}2", "RENAME {own} {own}2", "DUMP {own}", "RESTORE {own} 0 x", "MIGRATE 127.0.0.1 1 {own} 0 1", "MOVE {own} 1",
	"GET {other}", "GET {prefix}", "GET {prefix}2:k", "SET {other} x", "UNLINK {other}", "UNLINK {own} {other}", "MGET {own} {other}", "HGETALL {other}",
	"EVAL return(1) 1 {other}",
}

// inScript is how an ACL refuses a command or a key inside a script: as Redis 7.0 says it, and as Valkey and later versions
// of Redis do.
var inScript = regexp.MustCompile(`^ERR (The user executing the script can't|ACL failure in script:)`)

func TestProduct_refused(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		r, witness := e.Server(t), e.Server(t)
		own, other := r.Prefix+":k", witness.Prefix+":k"
		for _, key := range []string{own, other} {
			if err := witness.Client().Set(ctx, key, "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, args ...any) {
			t.Helper()
			err := r.Product().Do(ctx, args...).Err()
			if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") && !inScript.MatchString(err.Error()) {
				t.Errorf("%s: %v", what, err)
			}
		}
		names := strings.NewReplacer("{own}", own, "{other}", other, "{prefix}", r.Prefix)
		for _, line := range refusals {
			var args []any
			for _, word := range strings.Fields(line) {
				args = append(args, names.Replace(word))
			}
			check(line, args...)
		}
		for _, script := range []string{
			"return redis.call('GET', ARGV[1])", "return redis.call('SET', ARGV[1], 'x')", "return redis.call('UNLINK', KEYS[1], ARGV[1])",
			"return redis.call('KEYS', '*')", "return redis.call('FLUSHALL')", "return redis.call('DEL', KEYS[1])",
			"return redis.call('PUBLISH', 'c', 'm')",
		} {
			check(script, "EVAL", script, 1, own, other)
		}
		for _, key := range []string{own, other} {
			if got, err := witness.Client().Get(ctx, key).Result(); got != "v" || err != nil {
				t.Errorf("%s is %q afterwards, %v", key, got, err)
			}
		}
		if got, err := r.Product().Eval(ctx, "return redis.call('GET', KEYS[1])", []string{own}).Text(); got != "v" || err != nil {
			t.Errorf("its own key, in a script: %q, %v", got, err)
		}
	})
}

// A store that a test builds over its own client is noticed.
func TestClient_runsNoScripts(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		for _, r := range []redistest.Redis{e.Server(t), e.ServerWith(t).Redis} {
			err := r.Client().Eval(context.Background(), "return 1", nil).Err()
			if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
				t.Error(err)
			}
		}
	})
}

// A user goes with its test, and that of a second prefix has only that one.
func TestProduct_eachPrefixHasItsOwn(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		r := e.Server(t)
		var gone redistest.Redis
		t.Run("inner", func(t *testing.T) {
			gone = r.Under(t, r.Prefix+"b")
			if err := gone.Product().Set(ctx, gone.Prefix+":k", "v", 0).Err(); err != nil {
				t.Error(err)
			}
			for _, stranger := range []struct {
				redistest.Redis
				key string
			}{{r, gone.Prefix + ":k"}, {gone, r.Prefix + ":k"}} {
				if err := stranger.Product().Get(ctx, stranger.key).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
					t.Errorf("%s reads %s: %v", stranger.Username, stranger.key, err)
				}
			}
		})
		users, err := r.Client().ACLList(ctx).Result()
		if err != nil || strings.Contains(strings.Join(users, "\n"), gone.Username+" ") {
			t.Errorf("the users are %q, %v", users, err)
		}
	})
}

// The product's user is on a server of the test's own too, and outlasts a restart.
func TestServerWith_product(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		own := e.ServerWith(t, "--requirepass", "open sesame")
		for range 2 {
			if err := own.Product().Set(ctx, own.Prefix+":k", "v", 0).Err(); err != nil {
				t.Error(err)
			}
			if err := own.Product().Set(ctx, "k", "v", 0).Err(); err == nil {
				t.Error("it writes a key outside the prefix")
			}
			own.Restart()
		}
	})
}

func TestParseAccess(t *testing.T) {
	user := func(access string) string {
		return "Resources:\n  U:\n    Type: AWS::ElastiCache::User\n    Properties:\n      AccessString: " + access + "\n"
	}
	for name, template := range map[string]string{
		"literal":     user("'on ~lk:* -@all +get'"),
		"Sub":         user("!Sub 'on ~${RedisKeyPrefix}:* -@all +get'"),
		"Sub of two":  user("!Sub ['on ~${P}:* -@all +get', {P: !If [HasPrefix, !Ref RedisKeyPrefix, lk]}]"),
		"folded":      user("!Sub\n        - >-\n          on ~${P}:*\n          -@all +get\n        - P: lk"),
		"Join":        user("!Join [' ', [on, !Sub '~${P}:*', -@all, +get]]"),
		"Join of If":  user("!Join ['', ['on ~', !If [HasPrefix, !Ref RedisKeyPrefix, lk], ':* -@all +get']]"),
		"If":          user("!If [Ours, 'on ~lk:* -@all +get', 'on ~* +@all']"),
		"beside none": user("'on ~lk:* -@all +get'") + "  D:\n    Type: AWS::ElastiCache::User\n    Properties: {AccessString: 'off -@all'}\n",
	} {
		rules, err := redistest.ParseAccess([]byte(template))
		if err != nil || len(rules) != 4 || rules[0] != "on" || !strings.HasPrefix(rules[1], "~") || rules[3] != "+get" {
			t.Errorf("%s: %q, %v", name, rules, err)
		}
	}
	for name, template := range map[string]string{
		"no user":      "Resources: {A: {Type: AWS::SNS::Topic}}",
		"no string":    "Resources: {A: {Type: AWS::ElastiCache::User}}",
		"no YAML":      "\t",
		"all keys":     user("'on ~* -@all +get'"),
		"two patterns": user("'on ~lk:* ~other:* -@all +get'"),
		"unknown":      user("!Select [0, [on, '~lk:*']]"),
		"two users":    user("'on ~lk:* +get'") + strings.TrimPrefix(strings.Replace(user("'on ~lk:* +get'"), "  U:", "  V:", 1), "Resources:\n"),
	} {
		if rules, err := redistest.ParseAccess([]byte(template)); err == nil {
			t.Errorf("%s: %q", name, rules)
		}
	}
}
