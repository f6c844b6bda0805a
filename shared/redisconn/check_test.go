package redisconn_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
	"latchkey/shared/session"
)

// check is what [redisconn.Check] says; empty if nothing is wrong.
func check(t *testing.T, r config.Redis, prefix string) string {
	t.Helper()
	log := new(lambdatest.Output)
	env := awstest.NewSecretsManager(t, "secret").Environment(awstest.NewClock(awstest.Start), log)
	err := redisconn.Check(t.Context(), r, env, session.StartKeys(prefix))
	if log.String() != "" {
		t.Errorf("logged %s", log)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// Every way in which a Redis may differ from the configuration has a sentence of
// its own, with what to set.
func TestCheck(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		single, cluster, secured := e.ServerWith(t), e.Cluster(t), e.ServerWith(t, "--requirepass", "open sesame")
		primary, replica := e.Replicated(t)
		overTLS := trustedAuthority(t).ServerOf(t, e, "127.0.0.1", time.Now().Add(time.Hour))
		elsewhere := trustedAuthority(t).ServerOf(t, e, "cache.example", time.Now().Add(time.Hour))
		as := func(r redistest.Redis) config.Redis {
			return config.Redis{Addr: r.Addr, Host: "127.0.0.1", Username: r.Username, Password: config.Secret(r.Password)}
		}
		anonymous := func(r *config.Redis) { r.Username, r.Password = "", "" }
		for name, c := range map[string]struct {
			server redistest.Redis
			prefix string
			change func(r *config.Redis)
			want   string // after the address
		}{
			"nothing is wrong":               {single.Redis, single.Prefix, func(*config.Redis) {}, ""},
			"nothing is wrong with TLS":      {overTLS.Redis, overTLS.Prefix, func(r *config.Redis) { r.TLS = true }, ""},
			"nothing is wrong in a cluster":  {cluster, cluster.Prefix, func(r *config.Redis) { r.Cluster = true }, ""},
			"a cluster that is not named so": {cluster, cluster.Prefix, func(*config.Redis) {}, " is a node of a cluster: set REDIS_CLUSTER=true"},
			"a single server named a cluster": {single.Redis, single.Prefix, func(r *config.Redis) { r.Cluster = true },
				" is not a cluster: leave REDIS_CLUSTER out"},
			"no TLS to a TLS port": {overTLS.Redis, overTLS.Prefix, func(*config.Redis) {},
				" hangs up without an answer, so it probably expects TLS: set REDIS_TLS=true"},
			"no TLS to a TLS port, as to a cluster": {overTLS.Redis, overTLS.Prefix, func(r *config.Redis) { r.Cluster = true },
				" hangs up without an answer, so it probably expects TLS: set REDIS_TLS=true"},
			"no password": {secured.Redis, secured.Prefix, anonymous,
				" needs a password: set REDIS_PASSWORD, and REDIS_USERNAME unless it is the default user's"},
			"a wrong password of the default user": {secured.Redis, secured.Prefix, func(r *config.Redis) { r.Username, r.Password = "", "x" },
				" rejects the password of its default user: correct REDIS_USERNAME, REDIS_PASSWORD"},
			"a wrong password of a user": {single.Redis, single.Prefix, func(r *config.Redis) { r.Password = "x" },
				" rejects the user " + single.Username + " or its password: correct REDIS_USERNAME, REDIS_PASSWORD"},
			"a replica": {replica.Redis, primary.Prefix, func(*config.Redis) {}, " is a replica: set REDIS_HOST to its primary"},
			"another prefix": {single.Redis, "another", func(*config.Redis) {},
				": the user may not access keys with this prefix: look at REDIS_USERNAME, REDIS_KEY_PREFIX"},
			"a certificate of another host": {elsewhere.Redis, elsewhere.Prefix, func(r *config.Redis) { r.TLS = true },
				"): set REDIS_HOST to a name in the certificate, and have the system trust its authority"},
		} {
			t.Run(name, func(t *testing.T) {
				r := as(c.server)
				c.change(&r)
				got := check(t, r, c.prefix)
				if c.want == "" && got != "" || c.want != "" && (!strings.HasPrefix(got, "Redis at "+r.Addr+" ") || !strings.HasSuffix(got, c.want)) || strings.Contains(got, "\n") {
					t.Errorf("got  %s\nwant Redis at %s%s", got, r.Addr, c.want)
				}
			})
		}
	})
}

// Where something else is, or nothing, or what never answers.
func TestCheck_address(t *testing.T) {
	plain := redistest.Server(t)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	const embedded = "): start it, or set REDIS_HOST and REDIS_PORT, or leave REDIS_HOST out to use the embedded Redis"
	for name, c := range map[string]struct {
		r    config.Redis
		want string
	}{
		"nothing":      {config.Redis{Addr: gone.Addr().String()}, " cannot be reached (connection refused" + embedded},
		"no such name": {config.Redis{Addr: "redis.invalid:6379"}, embedded},
		"a web server": {config.Redis{Addr: web.Listener.Addr().String()}, " does not answer like Redis: set REDIS_HOST and REDIS_PORT"},
		"silence":      {config.Redis{Addr: mute.Addr().String()}, " does not work (no answer in time): look at REDIS_HOST and REDIS_PORT"},
		"no TLS":       {config.Redis{Addr: plain.Addr, Host: "127.0.0.1", TLS: true}, " does not speak TLS: leave REDIS_TLS out, or set REDIS_PORT to its TLS port"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := check(t, c.r, "x"); !strings.HasPrefix(got, "Redis at "+c.r.Addr+" ") || !strings.HasSuffix(got, c.want) {
				t.Errorf("got  %s\nwant Redis at %s%s", got, c.r.Addr, c.want)
			}
		})
	}
}
