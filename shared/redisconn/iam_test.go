package redisconn_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/awstest"
	"latchkey/local/test/redistest"
	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// signature is that of AWS Signature Version 4 for a presigned request, step by
// step as it is documented
// (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html),
// without any of the SDK.
func signature(host, query, secret, date, region string) string {
	sum := func(text string) string {
		hash := sha256.Sum256([]byte(text))
		return hex.EncodeToString(hash[:])
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	canonical := strings.Join([]string{"GET", "/", query, "host:" + host, "", "host", sum("")}, "\n")
	scope := date[:8] + "/" + region + "/elasticache/aws4_request"
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, sum(canonical)}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{date[:8], region, "elasticache", "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func TestConnectToken(t *testing.T) {
	getenv := awstest.Role("")
	for _, serverless := range []bool{false, true} {
		around := awsenv.Environment{Getenv: getenv, Now: awstest.NewClock(awstest.Start).Now}
		r := config.Redis{IAM: true, Username: "latchkey-app", CacheName: "Latchkey-Cache", Serverless: serverless}
		user, token, err := redisconn.ConnectToken(around, r)
		if err != nil || user != "latchkey-app" {
			t.Fatalf("%q, %v", user, err)
		}
		host, query, found := strings.Cut(token, "/?")
		if !found || host != "latchkey-cache" {
			t.Fatalf("token %q", token)
		}
		signed, given, found := strings.Cut(query, "&X-Amz-Signature=")
		if !found {
			t.Fatalf("token %q", token)
		}
		// Sorted and escaped as the rules have it, which is how it was signed.
		want := "Action=connect"
		if serverless {
			want += "&ResourceType=ServerlessCache"
		}
		want += "&User=latchkey-app&X-Amz-Algorithm=AWS4-HMAC-SHA256" +
			"&X-Amz-Credential=AKIDEXAMPLE%2F20261125%2Feu-central-1%2Felasticache%2Faws4_request" +
			"&X-Amz-Date=20261125T090000Z&X-Amz-Expires=900" +
			"&X-Amz-Security-Token=session%2Btoken%2Fof%3Dthe%20role&X-Amz-SignedHeaders=host"
		if signed != want {
			t.Errorf("signed %s\nwant   %s", signed, want)
		}
		if made := signature(host, want, getenv("AWS_SECRET_ACCESS_KEY"), "20261125T090000Z", "eu-central-1"); given != made {
			t.Errorf("signature %s, want %s", given, made)
		}
		if parsed, err := url.Parse("http://" + token); err != nil || parsed.Query().Get("X-Amz-Security-Token") != getenv("AWS_SESSION_TOKEN") {
			t.Errorf("%v in %q", err, token)
		}
	}
}

func TestConnectToken_missing(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		getenv := func(asked string) string {
			if asked == name {
				return ""
			}
			return awstest.Role("")(asked)
		}
		_, token, err := redisconn.ConnectToken(awsenv.Environment{Getenv: getenv, Now: time.Now}, config.Redis{Username: "app", CacheName: "cache"})
		if err == nil || token != "" || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %q, %v", name, token, err)
		}
	}
}

// guarded is a server whose user app has the password that was set last.
type guarded struct {
	t     *testing.T
	addr  string
	admin *redis.Client
	tls   bool
}

// newGuarded starts one that speaks TLS only.
func newGuarded(t *testing.T, e redistest.Engine) guarded {
	t.Helper()
	server := trustedAuthority(t).ServerOf(t, e, "127.0.0.1", time.Now().Add(time.Hour))
	return guarded{t, server.Addr, client(t, config.Redis{Addr: server.Addr, Host: "127.0.0.1", Password: "open sesame", TLS: true}), true}
}

// newGuardedPlain starts one without TLS.
func newGuardedPlain(t *testing.T, e redistest.Engine) guarded {
	t.Helper()
	server := e.ServerWith(t)
	return guarded{t, server.Addr, server.Client(), false}
}

func (g guarded) takes(password string) {
	g.t.Helper()
	if err := g.admin.Do(context.Background(), "ACL", "SETUSER", "app", "on", "resetpass", ">"+password, "~*", "+@all").Err(); err != nil {
		g.t.Fatal(err)
	}
}

func (g guarded) client(around awsenv.Environment, r config.Redis) *redis.Client {
	g.t.Helper()
	r.Addr, r.Host, r.TLS, r.PoolSize = g.addr, "127.0.0.1", g.tls, 20
	c, err := redisconn.New(context.Background(), r, around)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	return c.(*redis.Client)
}

// occupied takes the connections that are open out of the pool, so that the
// next call opens one.
func occupied(t *testing.T, c *redis.Client) {
	t.Helper()
	conn := c.Conn()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

// Each connection signs a token of its own: the server takes only the one of
// that very second.
func TestClient_iam(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx, g, clock := context.Background(), newGuarded(t, e), awstest.NewClock(awstest.Start)
		around := awsenv.Environment{Getenv: awstest.Role(""), Now: clock.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}
		r := config.Redis{IAM: true, Username: "app", CacheName: "cache"}
		c := g.client(around, r)
		for range 3 {
			_, token, err := redisconn.ConnectToken(around, r)
			if err != nil {
				t.Fatal(err)
			}
			g.takes(token)
			if who, err := c.Do(ctx, "ACL", "WHOAMI").Text(); err != nil || who != "app" {
				t.Fatalf("%q, %v", who, err)
			}
			occupied(t, c)
			clock.Add(10 * time.Minute)
			// The former token is good no more, and the next connection does
			// not show it.
			if err := c.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
				t.Errorf("with a token that the server does not take: %v", err)
			}
		}
	})
}

// Attack case 65: a connection goes on with a token that has expired since, as
// long as it lasts. Where it is cut, after twelve hours at the latest, the
// store asks once more over a new one, which signs anew, with credentials of
// the role that may be others by then: nobody notices.
func TestClient_iamConnectionCut(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx, g, clock := context.Background(), newGuarded(t, e), awstest.NewClock(awstest.Start)
		credentials := awstest.Role("")
		around := awsenv.Environment{Getenv: func(name string) string { return credentials(name) }, Now: clock.Now, Log: slog.New(slog.DiscardHandler)}
		r := config.Redis{IAM: true, Username: "app", CacheName: "cache"}
		takesNow := func() {
			t.Helper()
			_, token, err := redisconn.ConnectToken(around, r)
			if err != nil {
				t.Fatal(err)
			}
			g.takes(token)
		}
		takesNow()
		secret := []byte("a secret of at least 32 bytes, from a generator")
		ring, err := seal.NewRing("iam", secret, seal.EnvironmentKey(secret, []byte("an encryption key has 32 bytes..")))
		if err != nil {
			t.Fatal(err)
		}
		client := g.client(around, r)
		store := session.NewStore(client, ring, session.Options{Prefix: "iam"}, clock.Now)
		terms := session.NonceTerms{Transport: session.Bearer, Purpose: session.ForLogin}
		for _, cut := range []bool{false, true, true} {
			clock.Add(11 * time.Hour)
			rotated := func(name string) string {
				return awstest.Role("")(name) + map[string]string{"AWS_SECRET_ACCESS_KEY": clock.Now().String()}[name]
			}
			credentials = rotated
			takesNow() // the token of before is good no more
			if cut {
				if n, err := g.admin.ClientKillByFilter(ctx, "user", "app").Result(); err != nil || n == 0 {
					t.Fatalf("%d connections were cut, %v", n, err)
				}
			}
			nonce, _, err := store.IssueNonce(ctx, terms)
			if err != nil {
				t.Fatalf("cut %v: %v", cut, err)
			}
			if err := store.SpendNonce(ctx, nonce, terms); err != nil {
				t.Fatal(err)
			}
		}
		g.takes("nothing that anybody signs") // a connection that is cut, and a token that is not taken
		if _, err := g.admin.ClientKillByFilter(ctx, "user", "app").Result(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.IssueNonce(ctx, terms); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("refused, and told as %v", err)
		}
		takesNow()
		if _, _, err := store.IssueNonce(ctx, terms); err != nil {
			t.Errorf("taken again: %v", err)
		}
	})
}
