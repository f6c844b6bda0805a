package redisconn_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
	"latchkey/shared/script"
)

// diagnosed is a client of a configuration, with what it logs and the clock
// that it goes by.
type diagnosed struct {
	redis.UniversalClient
	t     *testing.T
	log   *lambdatest.Output
	clock *awstest.Clock
}

func newDiagnosed(t *testing.T, r config.Redis) diagnosed {
	t.Helper()
	d := diagnosed{t: t, log: new(lambdatest.Output), clock: awstest.NewClock(awstest.Start)}
	secrets := awstest.NewSecretsManager(t, "secret")
	client, err := redisconn.New(context.Background(), r, secrets.Environment(d.clock, d.log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	d.UniversalClient = client
	return d
}

var write = script.New(func() script.Source {
	return script.Source{Text: "redis.call('SET', KEYS[1], 'x', 'PX', 60000) return {1, '', ARGV[#ARGV]}"}
})

// refusal writes under a few keys, as the product does, and returns the first
// error.
func (d diagnosed) refusal(prefix string) error {
	for _, key := range []string{":{1}", ":{2}", ":{3}", ":{4}"} {
		if _, _, err := script.Run(context.Background(), d, write, []string{prefix + key}); err != nil {
			return err
		}
	}
	return nil
}

// wants asserts that one cause has been logged so many times, and these
// variables with it.
func (d diagnosed) wants(times int, cause, variables string) {
	d.t.Helper()
	entries, err := d.log.Entries()
	if err != nil || len(entries) != times {
		d.t.Fatalf("logged %d entries, want %d, %v: %s", len(entries), times, err, d.log)
	}
	for _, e := range entries {
		if e["msg"] != "likely cause" || e["level"] != "WARN" || e["cause"] != cause || e["variables"] != variables || e["error"] == "" {
			d.t.Errorf("logged %v, want %q and %q", e, cause, variables)
		}
	}
}

// A server that is not what the configuration says is an outage, and the log
// says which variable to look at: once a minute, however many requests fail.
func TestDiagnosis(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		single, cluster := e.ServerWith(t), e.Cluster(t)
		primary, replica := e.Replicated(t)
		overTLS := trustedAuthority(t).ServerOf(t, e, "127.0.0.1", time.Now().Add(time.Hour))
		elsewhere := trustedAuthority(t).ServerOf(t, e, "cache.example", time.Now().Add(time.Hour))
		as := func(r redistest.Redis) config.Redis {
			return config.Redis{Addr: r.Addr, Host: "127.0.0.1", Username: r.Username, Password: config.Secret(r.Password)}
		}
		const account = "REDIS_USERNAME, REDIS_PASSWORD"
		for name, c := range map[string]struct {
			server           redistest.Redis
			change           func(r *config.Redis)
			prefix           string
			cause, variables string
		}{
			"a cluster is configured, and there is none": {single.Redis, func(r *config.Redis) { r.Cluster = true }, "",
				"the server is not a cluster", "REDIS_CLUSTER"},
			"there is a cluster, and none is configured": {cluster, func(*config.Redis) {}, "",
				"the server is a node of a cluster", "REDIS_CLUSTER"},
			"no TLS to a TLS port": {overTLS.Redis, func(*config.Redis) {}, "",
				"the server hangs up without an answer: it may expect TLS", "REDIS_TLS"},
			"no TLS to a TLS port, as to a cluster": {overTLS.Redis, func(r *config.Redis) { r.Cluster = true }, "",
				"the server hangs up without an answer: it may expect TLS", "REDIS_TLS"},
			"a certificate of another host": {elsewhere.Redis, func(r *config.Redis) { r.TLS = true }, "",
				"the server's certificate is not valid for the host", "REDIS_HOST, REDIS_TLS"},
			"a wrong password": {single.Redis, func(r *config.Redis) { r.Password = "x" }, "",
				"the server refuses the user or its password", account},
			"an unknown user": {single.Redis, func(r *config.Redis) { r.Username = "nobody" }, "",
				"the server refuses the user or its password", account},
			"no user": {overTLS.Redis, func(r *config.Redis) { r.TLS, r.Username, r.Password = true, "", "" }, "",
				"the server refuses the user or its password", account},
			"a user that may not run scripts": {single.Redis, func(r *config.Redis) { r.Username, r.Password = "", "" }, "",
				"the user may not run a command", "REDIS_USERNAME"},
			"another prefix": {single.Redis, func(*config.Redis) {}, "another",
				"the user may not access keys with this prefix", "REDIS_USERNAME, REDIS_KEY_PREFIX"},
			"a replica": {replica.Redis, func(*config.Redis) {}, primary.Prefix, "the server is a replica", "REDIS_HOST"},
		} {
			t.Run(name, func(t *testing.T) {
				r := as(c.server)
				c.change(&r)
				prefix := c.prefix
				if prefix == "" {
					prefix = c.server.Prefix
				}
				d := newDiagnosed(t, r)
				for range 3 {
					if err := d.refusal(prefix); !errors.Is(err, script.ErrUnavailable) {
						t.Errorf("told as %v", err)
					}
				}
				d.wants(1, c.cause, c.variables)
				d.clock.Add(time.Minute)
				_ = d.refusal(prefix)
				d.wants(2, c.cause, c.variables)
			})
		}
		t.Run("nothing is wrong", func(t *testing.T) {
			d := newDiagnosed(t, as(single.Redis))
			if err := d.refusal(single.Prefix); err != nil {
				t.Error(err)
			}
			d.wants(0, "", "")
		})
	})
}

// TLS to a plain port, which a server answers with silence.
func TestDiagnosis_tlsToAPlainPort(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachServer(t, func(t *testing.T, server redistest.Redis) {
		t.Parallel()
		d := newDiagnosed(t, config.Redis{Addr: server.Addr, Host: "127.0.0.1", TLS: true, Cluster: server.Nodes != nil})
		for range 2 {
			if err := d.Get(context.Background(), "x").Err(); err == nil || !strings.Contains(err.Error(), "TLS handshake") {
				t.Errorf("told as %v", err)
			}
		}
		d.wants(1, "the port does not answer in TLS", "REDIS_TLS, REDIS_PORT")
	})
}

// The variables are those that the credential comes from, and the words those
// of versions that no test starts.
func TestDiagnosis_words(t *testing.T) {
	const refused = "the server refuses the user or its password"
	for name, c := range map[string]struct {
		reply            string
		config           config.Redis
		cause, variables string
	}{
		"IAM": {"-WRONGPASS invalid username-password pair or user is disabled.", config.Redis{IAM: true, Username: "app", CacheName: "cache"},
			refused, "REDIS_USERNAME, REDIS_CACHE_NAME, REDIS_SERVERLESS"},
		"secret": {"-WRONGPASS invalid username-password pair or user is disabled.", config.Redis{PasswordSecretARN: passwordARN},
			refused, "REDIS_USERNAME, REDIS_PASSWORD_SECRET_ARN"},
		"Redis 5":            {"-ERR invalid password", config.Redis{}, refused, "REDIS_USERNAME, REDIS_PASSWORD"},
		"Redis 5, no user":   {"-ERR Client sent AUTH, but no password is set", config.Redis{}, refused, "REDIS_USERNAME, REDIS_PASSWORD"},
		"nobody has one":     {"-ERR AUTH <password> called without any password configured for the default user.", config.Redis{}, refused, "REDIS_USERNAME, REDIS_PASSWORD"},
		"protected mode":     {"-DENIED Redis is running in protected mode", config.Redis{}, "the server is in protected mode: it requires a user or a password", "REDIS_USERNAME, REDIS_PASSWORD"},
		"script of 6.2":      {"-ERR Error running script (call to f_5f): @user_script:1: @user_script: 1: -READONLY You can't write", config.Redis{}, "the server is a replica", "REDIS_HOST"},
		"replica":            {"-MASTERDOWN Link with MASTER is down", config.Redis{}, "the server is a replica", "REDIS_HOST"},
		"key in a script":    {"-ERR ACL failure in script: User app has no permissions to access the 'lk:x' key", config.Redis{}, "the user may not access keys with this prefix", "REDIS_USERNAME, REDIS_KEY_PREFIX"},
		"command in Redis 7": {"-ERR The user executing the script can't run this command or subcommand", config.Redis{}, "the user may not run a command", "REDIS_USERNAME"},
	} {
		t.Run(name, func(t *testing.T) {
			f := redistest.NewFake(t, func(command string) string {
				if strings.HasPrefix(command, "hello") {
					return redistest.HelloReply
				}
				return c.reply + "\r\n"
			})
			c.config.Addr = f.Addr
			d := newDiagnosed(t, c.config)
			_ = d.refusal("x")
			d.wants(1, c.cause, c.variables)
			pipeline := d.Pipeline()
			pipeline.Get(context.Background(), "x")
			d.clock.Add(time.Minute)
			_, _ = pipeline.Exec(context.Background())
			d.wants(2, c.cause, c.variables)
		})
	}
}

// Where something else answers, or nothing does, it is the address. An outage
// later on says no such thing: the address was right before.
func TestDiagnosis_address(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	d := newDiagnosed(t, config.Redis{Addr: web.Listener.Addr().String()})
	_ = d.refusal("x")
	d.wants(1, "what answers is not Redis", "REDIS_HOST, REDIS_PORT")

	server := redistest.ServerWith(t)
	r := config.Redis{Addr: server.Addr, Username: server.Username, Password: config.Secret(server.Password)}
	d = newDiagnosed(t, r)
	if err := d.refusal(server.Prefix); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := d.refusal(server.Prefix); !errors.Is(err, script.ErrUnavailable) {
		t.Errorf("told as %v", err)
	}
	d.wants(0, "", "")
	d = newDiagnosed(t, r)
	_ = d.refusal(server.Prefix)
	d.wants(1, "nothing can be connected to at this address", "REDIS_HOST, REDIS_PORT")
}
