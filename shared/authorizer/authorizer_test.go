package authorizer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func TestInvoke_allowed(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		g := w.signIn(alice, session.Bearer)
		_, err := w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(alice)), []string{"clerk"}, session.Change{})
		must(t, err)
		got := w.wants("a live session", "allow", newEvent(t, s).bearer(g.AccessToken))
		want := map[string]string{
			"userId": g.Session.ID.User.String(), "address": alice.Hex(), "account": alice.Hex(), "chainId": "8453", "sessionId": g.Session.ID.String(),
			"roles": "user clerk", "permissions": "orders:read posts:read", "expiresAt": "2026-11-23T22:00:00.000Z",
		}
		if !maps.Equal(got.context, want) {
			t.Errorf("context %v, want %v", got.context, want)
		}
		if s == http2 {
			return
		}
		stage := map[shape]string{webSocket: "default"}[s]
		if stage == "" {
			stage = "test"
		}
		if got.principal != want["userId"] || got.resource != "arn:aws:execute-api:us-east-1:123456789012:abcdef123/"+stage+"/*" {
			t.Errorf("policy for %s on %s", got.principal, got.resource)
		}
	})
}

func TestInvoke_states(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		at := func(token string) event { return newEvent(t, s).bearer(token) }
		g := w.signIn(alice, session.Bearer)
		w.refused("a refresh token", "invalid_token", at(g.RefreshToken))
		w.refused("a forged one", "invalid_token", at(forged(g.AccessToken)))
		w.refused("none of ours", "invalid_token", at("eyJhbGciOiJub25lIn0.e30."))
		w.refused("a cookie's token", "invalid_token", at(w.signIn(bob, session.Cookie).AccessToken))
		w.wait(14 * time.Minute)
		w.wants("to its end", "allow", at(g.AccessToken))
		w.wait(time.Minute)
		w.refused("at its end", "token_expired", at(g.AccessToken))
		w.wait(29 * time.Minute)
		w.refused("idle for too long", "idle_timeout", at(g.AccessToken))
		g = w.signIn(alice, session.Bearer)
		_, err := w.store.Revoke(ctx, g.Session.ID, session.RevokedByAdmin, session.Change{})
		must(t, err)
		w.refused("ended", "revoked_by_admin", at(g.AccessToken))
	})
}

// forged is a token with one character changed.
func forged(token string) string {
	other := "A"
	if token[20] == 'A' {
		other = "B"
	}
	return token[:20] + other + token[21:]
}

// Attack case 51: an Authorization that is absent, empty, blank, of another
// scheme, or as long as a head may be, and a cookie where only bearer counts.
func TestInvoke_headers(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		g, c := w.signIn(alice, session.Bearer), w.signIn(alice, session.Cookie)
		w.refused("nothing", "no_credentials", newEvent(t, s))
		for _, value := range []string{"", " ", "\t", "Basic eDp5", "Digest x", g.AccessToken, "Bearer" + g.AccessToken} {
			w.refused(fmt.Sprintf("%q", value), "no_credentials", newEvent(t, s).authorization(value))
		}
		for _, value := range []string{
			"Bearer", "Bearer ", "bearer  ", "Bearer " + g.AccessToken + " x", "Bearer " + g.AccessToken + "," + g.AccessToken,
			"Basic eDp5, Bearer " + g.AccessToken, "Bearer a,b",
		} {
			w.refused(fmt.Sprintf("%q", value), "invalid_request", newEvent(t, s).authorization(value))
		}
		for _, value := range []string{
			strings.Repeat("A", 10<<10), g.AccessToken + strings.Repeat("A", 10<<10), g.AccessToken + "\x00", "lka_\u202e",
		} {
			w.refused(fmt.Sprintf("%.20q", value), "invalid_token", newEvent(t, s).bearer(value))
		}
		w.wants("another case of the scheme", "allow", newEvent(t, s).authorization("bEARER \t"+g.AccessToken+" "))
		if s == restToken {
			w.refused("a cookie", "no_credentials", newEvent(t, s).authorization("__Host-session="+c.AccessToken))
			return
		}
		w.wants("the cookie alone", "allow", newEvent(t, s).cookie("theme=dark", "__Host-session="+c.AccessToken).header("Origin", origin))
		w.refused("a cookie without its prefix", "no_credentials", newEvent(t, s).cookie("session="+c.AccessToken))
		w.refused("a bearer's token as cookie", "invalid_token", newEvent(t, s).cookie("__Host-session="+g.AccessToken).header("Origin", origin))
		// However the name is spelled.
		e := newEvent(t, s).set("Bearer "+g.AccessToken, "headers", "aUTHORIZATION")
		w.wants("another case of the name", "allow", e)
		e.set("Bearer "+g.AccessToken, "headers", "authorization")
		w.refused("two cases of the name", "invalid_request", e)
	})
}

// A credential stands in one place.
func TestInvoke_twoCredentials(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		if s == restToken {
			t.Skip("has but one place")
		}
		g, c := w.signIn(alice, session.Bearer), w.signIn(alice, session.Cookie)
		both := newEvent(t, s).bearer(g.AccessToken).header("Origin", origin)
		w.refused("header and cookie", "invalid_request", both.cookie("__Host-session="+c.AccessToken))
		w.refused("the cookie twice", "invalid_request", newEvent(t, s).header("Origin", origin).cookie("__Host-session="+c.AccessToken, "__Host-session=lka_x"))
		w.wants("another program's cookie beside it", "allow", newEvent(t, s).header("Origin", origin).cookie("__Host-session="+c.AccessToken, "__Host-session=x"))
		w.refused("the header twice", "invalid_request", newEvent(t, s).header("Authorization", "Bearer "+g.AccessToken, "Bearer "+g.AccessToken))
		for _, query := range []string{"queryStringParameters", "multiValueQueryStringParameters"} {
			if s == http1 || s == http2 {
				query = "queryStringParameters"
			}
			for _, token := range []string{g.AccessToken, "Bearer " + g.RefreshToken} {
				e := newEvent(t, s).bearer(g.AccessToken)
				if query == "queryStringParameters" {
					e.set(token, query, "x")
				} else {
					e.set([]any{"a", token}, query, "x")
				}
				w.refused("also in the URL", "invalid_request", e)
				w.refused("also as a name in the URL", "invalid_request", newEvent(t, s).bearer(g.AccessToken).set(map[string]any{token: ""}, "queryStringParameters"))
			}
		}
		// What a guarded API calls its parameters is its own affair.
		w.wants("a parameter named token", "allow", newEvent(t, s).bearer(g.AccessToken).set(map[string]any{"token": "1", "access_token": "polka_dots"}, "queryStringParameters"))
	})
}

// A cookie is a browser's, and other sites' pages use it too.
func TestInvoke_crossSite(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		if s == restToken {
			t.Skip("takes no cookie")
		}
		g, c := w.signIn(alice, session.Bearer), w.signIn(alice, session.Cookie)
		at := func(method string, headers ...string) event {
			e := newEvent(t, s).method(method).cookie("__Host-session=" + c.AccessToken)
			for i := 0; i < len(headers); i += 2 {
				e.header(headers[i], headers[i+1])
			}
			return e
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "post", "get", "PURGE"} {
			w.wants("from our page", "allow", at(method, "Origin", origin))
			w.wants("from our page", "allow", at(method, "Origin", origin, "Sec-Fetch-Site", "same-site"))
			for _, foreign := range []string{"https://evil.example", "null", origin + ".evil.example", "http://app.example.com", origin + "," + origin, ""} {
				w.refused("from "+foreign, "origin_not_allowed", at(method, "Origin", foreign))
			}
			w.refused("from nowhere", "origin_not_allowed", at(method))
			w.refused("cross-site", "origin_not_allowed", at(method, "Origin", origin, "Sec-Fetch-Site", "cross-site"))
			// A handshake wants the Origin; it is always sent.
			outcome := "allow"
			if s == webSocket {
				outcome = "deny"
			}
			w.wants("same-origin", outcome, at(method, "Sec-Fetch-Site", "same-origin"))
		}
		if s != webSocket {
			w.wants("to look at", "allow", at("GET", "Origin", "https://evil.example"))
			w.wants("to look at", "allow", at("HEAD"))
			w.refused("two origins", "origin_not_allowed", at("POST").header("Origin", origin, origin))
			w.refused("another method in a header", "origin_not_allowed", at("POST", "X-HTTP-Method-Override", "GET"))
		}
		w.wants("a bearer token from anywhere", "allow", newEvent(t, s).method("POST").bearer(g.AccessToken).header("Origin", "https://evil.example"))
	})
}

func TestInvoke_subprotocol(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, c := w.signIn(alice, session.Bearer), w.signIn(alice, session.Cookie)
		offer := func(lines ...string) event { return newEvent(t, webSocket).header("Sec-WebSocket-Protocol", lines...) }
		for _, line := range []string{"latchkey, %s", "latchkey,%s", " latchkey ,\t%s ", "graphql-ws, latchkey, %s", "latchkey, %s, graphql-ws"} {
			w.wants(line, "allow", offer(fmt.Sprintf(line, g.AccessToken)))
		}
		w.wants("in two lines", "allow", offer("graphql-ws", "latchkey, "+g.AccessToken))
		w.wants("with a cookie of others", "allow", offer("latchkey, "+g.AccessToken).cookie("theme=dark"))
		for _, line := range []string{"%s, latchkey", "%s", "LATCHKEY, %s", "latchkey", "graphql-ws", "", ",", "latchkey2, %s"} {
			if strings.Contains(line, "%s") {
				line = fmt.Sprintf(line, g.AccessToken)
			}
			w.refused(line, "no_credentials", offer(line))
		}
		w.refused("none of ours", "invalid_token", offer("latchkey, graphql-ws"))
		w.refused("empty", "no_credentials", offer("latchkey, "))
		w.refused("a refresh token", "invalid_token", offer("latchkey, "+g.RefreshToken))
		w.refused("twice", "invalid_request", offer("latchkey, "+g.AccessToken+", latchkey, "+g.AccessToken))
		w.refused("in two lines", "invalid_request", offer("latchkey, "+g.AccessToken, "latchkey, "+g.AccessToken))
		w.refused("beside a header", "invalid_request", offer("latchkey, "+g.AccessToken).bearer(g.AccessToken))
		w.refused("beside a cookie", "invalid_request", offer("latchkey, "+g.AccessToken).header("Origin", origin).cookie("__Host-session="+c.AccessToken))
		w.wants("cookie and another subprotocol", "allow", offer("graphql-ws").header("Origin", origin).cookie("__Host-session="+c.AccessToken))
		w.refused("in an HTTP request", "no_credentials", newEvent(t, restRequest).header("Sec-WebSocket-Protocol", "latchkey, "+g.AccessToken))
	})
}

// A session on another device is held, and denied until its wallet has signed;
// what shows no device is not judged by one.
func TestInvoke_stepUpRequired(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		g := w.signIn(alice, session.Bearer)
		thief := newEvent(t, http2).header("User-Agent", "Mozilla/5.0 (Windows NT 10.0) Firefox/144.0").bearer(g.AccessToken)
		if s != restToken {
			thief = newEvent(t, s).header("User-Agent", "Mozilla/5.0 (Windows NT 10.0) Firefox/144.0").bearer(g.AccessToken)
		} else {
			w.wants("no device to judge by", "allow", newEvent(t, s).bearer(g.AccessToken))
		}
		w.refused("another device", "step_up_required", thief)
		w.refused("the own device", "step_up_required", newEvent(t, s).bearer(g.AccessToken))
		if n := strings.Count(w.log.text(), `"type":"device.changed"`); n != 1 {
			t.Errorf("%d changes of device in %s", n, w.log.text())
		}
	})
}

// The strictest policies hold for what an event shows, and for nothing that it
// cannot show.
func TestInvoke_revokes(t *testing.T) {
	strict := func(s *settings) {
		s.opts.DevicePolicy, s.opts.NetworkPolicy = session.PolicyRevoke, session.PolicyRevoke
	}
	each(t, func(t *testing.T, w *world, s shape) {
		g := w.signIn(alice, session.Bearer)
		for range 3 {
			w.wants("at home", "allow", newEvent(t, s).bearer(g.AccessToken).set("x", "identitySource"))
			w.wait(time.Minute)
		}
		path := []string{"requestContext", "identity", "sourceIp"}
		switch s {
		case restToken:
			return
		case http2:
			path[1] = "http"
		}
		w.wants("from the same network", "allow", newEvent(t, s).bearer(g.AccessToken).set("::ffff:203.0.113.9", path...))
		for _, none := range []any{"", "test-invoke-source-ip", "203.0.113.256", nil} {
			w.refused(fmt.Sprint("no address ", none), "invalid_request", newEvent(t, s).bearer(g.AccessToken).set(none, path...))
		}
		w.wants("still", "allow", newEvent(t, s).bearer(g.AccessToken).header("X-Forwarded-For", "198.51.100.1"))
		elsewhere := newEvent(t, s).bearer(g.AccessToken).set("198.51.100.1", path...)
		if got := w.decide(elsewhere); got.outcome != "deny" {
			t.Errorf("from elsewhere: %v", got)
		}
		w.refused("after that", "hijack_suspected", newEvent(t, s).bearer(g.AccessToken))
	}, strict)
}

// Behind a custom domain with mutual TLS the gateway sends the client's port
// with its address, another one for each connection. The network is the same.
func TestInvoke_sourceIPWithPort(t *testing.T) {
	strict := func(s *settings) { s.opts.NetworkPolicy = session.PolicyRevoke }
	each(t, func(t *testing.T, w *world, s shape) {
		if s == restToken {
			t.Skip("has no address")
		}
		g := w.signIn(alice, session.Bearer)
		from := func(source string) event { return newEvent(t, s).bearer(g.AccessToken).source(source) }
		for _, source := range []string{clientIP + ":39870", clientIP + ":39871", "[::ffff:" + clientIP + "]:443", clientIP} {
			w.wants("from "+source, "allow", from(source))
			w.wait(time.Minute)
		}
		w.wants("from elsewhere", "deny", from("198.51.100.1:39870"))
		w.refused("after that", "hijack_suspected", from(clientIP+":39870"))
	}, strict)
}

// An event of the Test button in API Gateway's console has no client address,
// so it stays denied. The log says so, and it names every other source IP that
// is not an address, and whatever else makes an event malformed.
func TestInvoke_logsWhyAnEventIsMalformed(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		g := w.signIn(alice, session.Bearer)
		at := func() event { return newEvent(t, s).bearer(g.AccessToken) }
		says := func(what, detail string, e event) {
			t.Helper()
			w.forget()
			w.refused(what, "invalid_request", e)
			if log := w.log.text(); !strings.Contains(log, `"detail":"`+detail+`"`) || strings.Contains(log, g.AccessToken[:24]) {
				t.Errorf("%s: logged %s", what, log)
			}
		}
		says("another type", "the event is not as API Gateway documents it", at().set("JWT", "type"))
		if s == restToken {
			return
		}
		says("the Test button", "the source IP is test-invoke-source-ip: the event comes from the Test button of API Gateway's console,"+
			" which has no client address", at().source("test-invoke-source-ip").header("User-Agent", "aws-internal/3 aws-sdk-java/1.12"))
		says("no source IP", "the event has no source IP: API Gateway always sends one", at().source(nil))
		says("a name", `the source IP \"localhost:443\" is not an address: API Gateway always sends one`, at().source("localhost:443"))
		says("a line break", `the source IP \"1\\n\\u202e2\" is not an address: API Gateway always sends one`, at().source("1\n\u202e2"))
		says("a long one", `the source IP \"`+strings.Repeat("x", 64)+`\" is not an address: API Gateway always sends one`, at().source(strings.Repeat("x", 8<<10)))
		if s == webSocket {
			says("offered twice", "Sec-WebSocket-Protocol offers the subprotocol latchkey twice",
				newEvent(t, s).header("Sec-WebSocket-Protocol", "latchkey, "+g.AccessToken+", latchkey, x"))
			return
		}
		says("an ambiguous path", "the path has more than one reading or does not fit its route, so it cannot be compared with AUTHORIZER_PERMISSIONS",
			at().request("GET", "/orders//5", "/{proxy+}"))
		w.forget()
		w.wants("as it should be", "allow", at())
		w.refused("another refusal", "invalid_token", newEvent(t, s).bearer(forged(g.AccessToken)))
		if log := w.log.text(); strings.Contains(log, `"detail"`) {
			t.Errorf("logged %s", log)
		}
	}, func(s *settings) { s.rules = rules(t, "GET /other=a") })
}

func TestInvoke_deviceID(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, session.Bearer)
		for _, bad := range []string{"", "a b", "a,b", "é", strings.Repeat("x", 257)} {
			w.refused(bad, "invalid_request", newEvent(t, restRequest).bearer(g.AccessToken).header("X-Device-Id", bad))
		}
		w.refused("two", "invalid_request", newEvent(t, restRequest).bearer(g.AccessToken).header("X-Device-Id", "a", "b"))
		w.wants("one", "allow", newEvent(t, restRequest).bearer(g.AccessToken).header("X-Device-Id", "a"))
	})
}

// slow is a proxy before Redis that can stop to answer.
func slow(t *testing.T, addr string) (proxy string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	silent := false
	copied := func(to, from net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			mu.Lock()
			if err == nil && !silent {
				_, err = to.Write(buffer[:n])
			}
			mu.Unlock()
			if err != nil {
				_ = to.Close()
				return
			}
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			go copied(out, in)
			go copied(in, out)
		}
	}()
	return l.Addr().String(), func() { mu.Lock(); silent = true; mu.Unlock() }
}

// Attack case 52: whatever Redis does or says, nobody is let in, in time and
// without a panic.
func TestInvoke_redisFails(t *testing.T) {
	away := func(t *testing.T, w *world, want string, e event) {
		t.Helper()
		began := time.Now()
		got := w.decide(e)
		if took := time.Since(began); got.outcome != "deny" || took > 4*time.Second {
			t.Errorf("%s %s after %v", got.outcome, got.text, took)
		}
		counted := w.counted()
		if (want == "fault") != (counted[api.Faults] == 1) || (want == "fault") == (counted[api.Denials] == 1) {
			t.Errorf("counted %v", counted)
		}
		if strings.Contains(w.log.text(), "panic") || strings.Contains(w.log.text(), "lka_") {
			t.Errorf("logged %s", w.log.text())
		}
	}
	for _, s := range []shape{http2, restRequest} {
		t.Run(string(s), func(t *testing.T) {
			t.Run("away", func(t *testing.T) {
				own := redistest.ServerWith(t)
				w := newWorld(t, own.Redis)
				e := newEvent(t, s).bearer(w.signIn(alice, session.Bearer).AccessToken)
				w.wants("before", "allow", e)
				own.Stop()
				// Two connections each. After as many failures as its pool
				// holds, ten a CPU, the client waits before it tries again.
				for range 4 {
					away(t, w, "fault", e)
				}
				own.Restart()
				away(t, w, "refusal", e) // it came back empty
				w.wants("after", "allow", newEvent(t, s).bearer(w.signIn(alice, session.Bearer).AccessToken))
			})
			t.Run("slow", func(t *testing.T) {
				r := redistest.Embedded(t)
				proxy, stop := slow(t, r.Addr)
				opts := r.ProductOptions()
				opts.Addr, opts.ContextTimeoutEnabled, opts.ReadTimeout = proxy, true, time.Minute
				client := redis.NewClient(opts)
				defer client.Close()
				w := newWorldOn(t, r, client)
				e := newEvent(t, s).bearer(w.signIn(alice, session.Bearer).AccessToken)
				w.wants("before", "allow", e)
				stop()
				away(t, w, "fault", e)
				// A nearer deadline of the function's own counts.
				near, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
				defer cancel()
				if got := read(t, func() ([]byte, error) { return w.Invoke(near, e.payload()) }); got.outcome != "deny" || near.Err() != nil {
					t.Errorf("%v, %v", got, near.Err())
				}
			})
			for _, message := range []string{
				"NOAUTH Authentication required.", "OOM command not allowed when used memory > 'maxmemory'.",
				"READONLY You can't write against a read only replica.", "WRONGPASS invalid username-password pair or user is disabled.",
				"NOPERM this user has no permissions to run the 'mget' command", "LOADING Redis is loading the dataset in memory",
				"CLUSTERDOWN The cluster is down", "ERR unknown command 'MGET'", "WRONGTYPE Operation against a key holding the wrong kind of value",
			} {
				t.Run(message[:5], func(t *testing.T) {
					r := redistest.Embedded(t)
					w := newWorld(t, r)
					e := newEvent(t, s).bearer(w.signIn(alice, session.Bearer).AccessToken)
					w.wait(time.Minute) // activity is due to be written, too
					r.Mini.SetError(message)
					away(t, w, "fault", e)
					r.Mini.SetError("")
					w.wants("after", "allow", e)
				})
			}
			t.Run("wrong type", func(t *testing.T) {
				redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
					w := newWorld(t, r)
					e := newEvent(t, s).bearer(w.signIn(alice, session.Bearer).AccessToken)
					keys, err := r.Client().Keys(ctx, r.Prefix+"*").Result()
					must(t, err)
					for _, key := range keys {
						must(t, r.Client().Del(ctx, key).Err())
						must(t, r.Client().LPush(ctx, key, "x").Err())
					}
					away(t, w, "refusal", e) // a record of another type is none
					for _, key := range keys {
						must(t, r.Client().Del(ctx, key).Err())
						must(t, r.Client().Set(ctx, key, "no record", 0).Err())
					}
					away(t, w, "fault", e)
				})
			})
		})
	}
}

// Memory that is full on a real server keeps nobody out who is in, and writes
// nothing.
func TestInvoke_memoryFull(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w := newWorld(t, own.Redis)
		g := w.signIn(alice, session.Bearer)
		must(t, own.Client().ConfigSet(ctx, "maxmemory", "1").Err())
		w.wait(time.Minute)
		w.wants("with memory full", "allow", newEvent(t, http2).bearer(g.AccessToken))
		_, err := w.store.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		w.refused("ended with memory full", "logged_out", newEvent(t, http2).bearer(g.AccessToken))
	})
}

// Attack case 53: a session that was revoked is denied at the next event.
// Nothing here remembers that it was allowed.
func TestInvoke_revokeThenCall(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		for _, end := range []func(g session.Grant) error{
			func(g session.Grant) error {
				_, err := w.store.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
				return err
			},
			func(g session.Grant) error {
				_, err := w.store.RevokeAll(ctx, g.Session.ID, session.LoggedOut, session.Actor{})
				return err
			},
			func(g session.Grant) error {
				return w.store.Block(ctx, w.store.UserOf(token.KeyAccount(alice)), session.Change{})
			},
		} {
			g := w.signIn(alice, session.Bearer)
			e := newEvent(t, s).bearer(g.AccessToken)
			w.wants("before", "allow", e)
			w.wants("before", "allow", e)
			must(t, end(g))
			w.wants("at once after", "deny", e)
		}
	})
}

// Attack case 55: one instance serves many callers, and each is told who it is
// and nothing of another.
func TestInvoke_callersDoNotCross(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		users := map[string]session.Grant{}
		for _, address := range []common.Address{alice, bob} {
			users[address.Hex()] = w.signIn(address, session.Bearer)
		}
		var all sync.WaitGroup
		for address, g := range users {
			for _, s := range shapes {
				payload, anonymous := newEvent(t, s).bearer(g.AccessToken).payload(), newEvent(t, s).payload()
				all.Go(func() {
					for range 50 {
						got := read(t, func() ([]byte, error) { return w.Invoke(ctx, payload) })
						if got.outcome != "allow" || got.context["address"] != address || got.context["sessionId"] != g.Session.ID.String() {
							t.Errorf("%s is told %v", address, got)
						}
						if got := read(t, func() ([]byte, error) { return w.Invoke(ctx, anonymous) }); got.context != nil || got.outcome == "allow" {
							t.Errorf("nobody is told %v", got)
						}
					}
				})
			}
		}
		all.Wait()
	})
}

// Attack case 56: what a backend is handed is bounded ASCII, and nothing that a
// client sent is among it.
func TestInvoke_contextValues(t *testing.T) {
	for name, role := range map[string]string{
		"line break": "a\nb", "carriage return": "a\rb", "NUL": "a\x00", "escape": "\x1b[31m", "unicode": "rôle", "bidi": "a\u202eb", "8 kB": strings.Repeat("x", 8<<10),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, redistest.Embedded(t), func(s *settings) {
				s.cfg.Roles = map[string]api.Role{"user": {Permissions: []string{role}}}
			})
			// The configuration refuses such a name. Where one comes up all the
			// same, nobody is let in with it.
			w.wants(name, "deny", newEvent(t, http2).bearer(w.signIn(alice, session.Bearer).AccessToken))
			if w.counted()[api.Faults] != 1 || !strings.Contains(w.log.text(), `"level":"ERROR"`) {
				t.Errorf("logged %s", w.log.text())
			}
		})
	}
	t.Run("longest", func(t *testing.T) {
		permissions := []string{}
		for i := range 31 {
			permissions = append(permissions, fmt.Sprintf("%s%02d", strings.Repeat("p", 62), i))
		}
		w := newWorld(t, redistest.Embedded(t), func(s *settings) { s.cfg.Roles = map[string]api.Role{"user": {Permissions: permissions}} })
		for _, s := range shapes {
			w.wants("as much as ROLES takes", "allow", newEvent(t, s).bearer(w.signIn(alice, session.Bearer).AccessToken))
		}
	})
	t.Run("sent by the client", func(t *testing.T) {
		w := newWorld(t, redistest.Embedded(t))
		g := w.signIn(alice, session.Bearer)
		e := newEvent(t, http2).bearer(g.AccessToken).header("x-user-id", "evil").header("userId", "evil").
			header("x-amzn-remapped-authorization", "evil").set(map[string]any{"userId": "evil"}, "queryStringParameters").
			set(map[string]any{"lambda": map[string]any{"userId": "evil"}}, "requestContext", "authorizer")
		if got := w.wants("made up", "allow", e); strings.Contains(got.text, "evil") {
			t.Errorf("answered %s", got.text)
		}
	})
}

// Attack case 58: events that are not as documented are denied, in the form
// that they show.
func TestInvoke_malformed(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		g := w.signIn(alice, session.Bearer)
		good := func() event { return newEvent(t, s).bearer(g.AccessToken) }
		w.wants("as it should be", "allow", good())
		bad := map[string]event{
			"no type": good().set(nil, "type"), "another type": good().set("JWT", "type"), "type in another case": good().set("request", "type"),
			"type a number": good().set(1, "type"), "version 3.0": good().set("3.0", "version"), "version empty": good().set("", "version"),
			"version a number": good().set(2.0, "version"), "version a list": good().set([]any{"2.0"}, "version"),
		}
		arn := "methodArn"
		if s == http2 {
			arn = "routeArn"
		}
		for _, value := range []any{
			nil, "", "*", "arn:aws:execute-api:us-east-1:1:api", "arn:aws:execute-api:us-east-1:1:api/", "arn:aws:execute-api:us-east-1:1:api/test",
			"arn:aws:execute-api:us-east-1:1:api/*/GET/request", "arn:aws:execute-api:us-east-1:1:*/test/GET/request", "arn:aws:s3:us-east-1:1:api/test/GET/request",
			"arn:aws:execute-api:us-east-1:1:a/" + strings.Repeat("s", 512) + "/GET/request", "arn:aws:execute-api:us-east-1:1:api/te\"st/GET/r", 7, []any{},
		} {
			bad[fmt.Sprintf("ARN %.60v", value)] = good().set(value, arn)
		}
		if s == restToken {
			bad["token a list"] = good().set([]any{"Bearer " + g.AccessToken}, "authorizationToken")
			bad["a version"] = good().set("1.0", "version")
		} else {
			bad["no context"] = good().set(nil, "requestContext")
			bad["context null"] = good().set(json.RawMessage("null"), "requestContext")
			bad["context a list"] = good().set([]any{}, "requestContext")
			bad["context empty"] = good().set(map[string]any{}, "requestContext")
			bad["headers a list"] = good().set([]any{}, "headers")
			bad["a header a number"] = good().set(1, "headers", "x")
			bad["a header a list"] = good().set([]any{"Bearer " + g.AccessToken}, "headers", "authorization")
			bad["request id a number"] = good().set(5, "requestContext", "requestId")
			bad["cookies a text"] = good().set("a=b", "cookies")
		}
		if s == webSocket {
			bad["a message"] = good().set("MESSAGE", "requestContext", "eventType")
			bad["another route"] = good().set("arn:aws:execute-api:us-east-1:123456789012:abcdef123/default/$default", "methodArn")
		}
		if s == http1 || s == restRequest {
			bad["no method"] = good().set(nil, "httpMethod")
			bad["a handshake's"] = good().set("CONNECT", "requestContext", "eventType").set("2.0", "version")
		}
		for name, e := range bad {
			got := w.decide(e)
			if got.outcome != "deny" {
				t.Errorf("%s: %s %s", name, got.outcome, got.text)
			}
		}
		w.wants("after all that", "allow", good())
	})
}

func TestInvoke_malformedForms(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	const arn = `"arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request"`
	for payload, want := range map[string]decision{
		"": {form: "simple"}, "null": {form: "simple"}, "[]": {form: "simple"}, `"x"`: {form: "simple"}, "{": {form: "simple"}, "{}": {form: "simple"},
		`{"routeArn":` + arn + `}`: {form: "simple"}, `{"version":"3.0","routeArn":` + arn + `,"requestContext":[]}`: {form: "simple"},
		`{"methodArn":` + arn + `}`:                                                             {form: "policy", resource: "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*"},
		`{"version":1,"methodArn":` + arn + `}`:                                                 {form: "policy", resource: "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*"},
		`{"version":"1.0","methodArn":"arn:x/y/*"}`:                                             {form: "policy", resource: "*"},
		`{"type":"TOKEN","methodArn":` + arn + `,"authorizationToken":null,"requestContext":7}`: {form: "policy", resource: "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*"},
	} {
		got := read(t, func() ([]byte, error) { return w.Invoke(ctx, []byte(payload)) })
		if got.outcome != "deny" || got.form != want.form || got.resource != want.resource {
			t.Errorf("%s: %+v", payload, got)
		}
	}
}

// An event that two readers would take for two is denied; one with a client's
// text that is not UTF-8 is read.
func TestInvoke_text(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, session.Bearer)
	for _, s := range []shape{http2, restRequest} {
		good := string(newEvent(t, s).bearer(g.AccessToken).header("X-Name", "caf\u00e9").payload())
		for name, change := range map[string]struct{ from, to, outcome string }{
			"as it should be": {"", "", "allow"},
			"not UTF-8":       {"caf\u00e9", "caf\xe9", "allow"},
			"a member twice":  {`"headers":{`, `"headers":{},"headers":{`, "deny"},
			"a header twice":  {`"headers":{`, `"headers":{"Authorization":"","Authorization":"",`, "deny"},
		} {
			payload := strings.Replace(good, change.from, change.to, 1)
			got := read(t, func() ([]byte, error) { return w.Invoke(ctx, []byte(payload)) })
			if got.outcome != change.outcome || change.from != "" && payload == good {
				t.Errorf("%s, %s: %s for %s", s, name, got.outcome, payload)
			}
		}
	}
}

// A stage or an id of an API in a path is a path's: the client chooses it.
func TestInvoke_resource(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, session.Bearer)
	for arn, want := range map[string]string{
		"arn:aws:execute-api:eu-central-1:1:a1b2/$default/GET/":                                   "arn:aws:execute-api:eu-central-1:1:a1b2/$default/*",
		"arn:aws-cn:execute-api:cn-north-1:1:a1b2/prod/GET/x/y/prod/*":                            "arn:aws-cn:execute-api:cn-north-1:1:a1b2/prod/*",
		"arn:aws:execute-api:eu-central-1:1:a1b2/p/POST/arn:aws:execute-api:eu-central-1:1:c/d/e": "arn:aws:execute-api:eu-central-1:1:a1b2/p/*",
		"arn:aws:execute-api:eu-central-1:1:a1b2/p/POST/" + strings.Repeat("x", 4096):             "arn:aws:execute-api:eu-central-1:1:a1b2/p/*",
	} {
		got := w.wants(arn, "allow", newEvent(t, restToken).bearer(g.AccessToken).set(arn, "methodArn"))
		if got.resource != want || len(got.resource) > 512 {
			t.Errorf("%s became %s", arn, got.resource)
		}
	}
}

// One validation is one read of Redis; activity that is due is one write more,
// and what is forged costs none.
func TestInvoke_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		counting := redistest.Counting(t, r)
		w := newWorldOn(t, r, counting)
		g, c := w.signIn(alice, session.Bearer), w.signIn(alice, session.Cookie)
		roundTrips := func(what string, want int, e event) {
			t.Helper()
			counting.Reset()
			w.decide(e)
			if n := counting.RoundTrips(); n != want {
				t.Errorf("%s, %s: %d round trips, want %d", e.shape, what, n, want)
			}
		}
		w.wait(time.Minute)
		w.decide(newEvent(t, http2).bearer(g.AccessToken)) // Redis learns the script
		for _, s := range shapes {
			roundTrips("bearer", 1, newEvent(t, s).bearer(g.AccessToken))
			w.wait(time.Minute)
			roundTrips("activity", 2, newEvent(t, s).bearer(g.AccessToken))
			roundTrips("forged", 0, newEvent(t, s).bearer("lka_"+strings.Repeat("A", 119)))
			roundTrips("nothing", 0, newEvent(t, s))
			if s != restToken {
				w.decide(newEvent(t, s).cookie("__Host-session="+c.AccessToken).header("Origin", origin))
				roundTrips("cookie", 1, newEvent(t, s).cookie("__Host-session="+c.AccessToken).header("Origin", origin))
			}
		}
		ended := w.signIn(bob, session.Bearer)
		_, err := w.store.Revoke(ctx, ended.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		roundTrips("ended", 1, newEvent(t, http2).bearer(ended.AccessToken))
	})
}

// Metrics and the log tell each refusal once, and never a token.
func TestInvoke_countsRefusals(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		g := w.signIn(alice, session.Bearer)
		w.wants("allowed", "allow", newEvent(t, s).bearer(g.AccessToken))
		if counted := w.counted(); len(counted) > 0 {
			t.Errorf("an allowed request counted %v", counted)
		}
		w.decide(newEvent(t, s))
		want := api.Denials
		if s.throws() {
			want = api.Unauthorized
		}
		if counted := w.counted(); len(counted) != 1 || counted[want] != 1 {
			t.Errorf("no credentials counted %v", counted)
		}
		w.decide(newEvent(t, s).bearer(g.RefreshToken))
		w.decide(newEvent(t, s).bearer(g.AccessToken + "x"))
		w.decide(newEvent(t, s).bearer(g.AccessToken + " " + g.AccessToken))
		w.decide(newEvent(t, s).bearer(g.AccessToken).set(5, "type"))
		if counted := w.counted(); len(counted) != 1 || counted[api.Denials] != 4 {
			t.Errorf("denials counted %v", counted)
		}
		log := w.log.text()
		if strings.Contains(log, g.AccessToken[:24]) || strings.Contains(log, g.RefreshToken[:24]) {
			t.Errorf("a token is in the log: %s", log)
		}
		if n := strings.Count(log, `"type":"authorize"`); n != 5 {
			t.Errorf("%d refusals in %s", n, log)
		}
		_, err := w.store.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		w.refused("ended", "logged_out", newEvent(t, s).bearer(g.AccessToken))
		if !strings.Contains(w.log.text(), `"userId":"`+g.Session.ID.User.String()+`","sessionId":"`+g.Session.ID.String()) {
			t.Errorf("whose it was is not in %s", w.log.text())
		}
	})
}

// A ticket opens one WebSocket with the session of the page that asked for it, whatever cookies the browser sends along.
func TestInvoke_ticket(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, other := w.signIn(alice, session.Cookie), w.signIn(bob, session.Cookie)
		ticket := func() string {
			t.Helper()
			a, err := w.store.Validate(ctx, g.AccessToken, session.Client{IP: netip.MustParseAddr(clientIP), Device: session.Device{Browser: "curl"}, Transport: session.Cookie})
			must(t, err)
			text, _, err := w.store.IssueTicket(ctx, a, g.AccessToken)
			must(t, err)
			return text
		}
		offer := func(ticket, connection string) event {
			return newEvent(t, webSocket).header("Sec-WebSocket-Protocol", "latchkey, "+ticket).set(connection, "requestContext", "connectionId")
		}
		one := ticket()
		got := w.wants("a ticket", "allow", offer(one, "first="))
		if got.context["sessionId"] != g.Session.ID.String() || got.context["address"] != alice.Hex() {
			t.Errorf("context %v", got.context)
		}
		w.wants("the gateway's own retry", "allow", offer(one, "first="))
		w.refused("a second use", "invalid_token", offer(one, "second="))
		w.refused("a third use", "invalid_token", offer(one, "third="))
		if n := strings.Count(w.log.text(), `"type":"ticket.reused"`); n != 1 {
			t.Errorf("%d events in %s", n, w.log.text())
		}
		w.wants("beside its cookie", "allow", offer(ticket(), "a=").cookie("__Host-session="+g.AccessToken))
		w.wants("beside another's cookie, from a foreign page", "allow", offer(ticket(), "b=").cookie("__Host-session="+other.AccessToken).header("Origin", "https://evil.example"))
		w.refused("beside a header", "invalid_request", offer(ticket(), "c=").bearer(other.AccessToken))
		w.refused("in a header", "invalid_token", newEvent(t, webSocket).bearer(ticket()))
		w.refused("in an HTTP request", "no_credentials", newEvent(t, restRequest).header("Sec-WebSocket-Protocol", "latchkey, "+ticket()))
		w.refused("in an HTTP request's header", "invalid_token", newEvent(t, http2).bearer(ticket()))
		w.refused("in the URL", "invalid_request", newEvent(t, webSocket).set(map[string]any{"t": ticket()}, "queryStringParameters"))

		two := ticket()
		for _, connection := range []any{nil, ""} { // without an id each event is a use of its own
			outcome := map[any]string{nil: "allow", "": "deny"}[connection]
			w.wants(fmt.Sprint("no connection id ", connection), outcome, newEvent(t, webSocket).header("Sec-WebSocket-Protocol", "latchkey, "+two).set(connection, "requestContext", "connectionId"))
		}
		three := ticket()
		w.refused("another device", "step_up_required", offer(three, "d=").header("User-Agent", "Mozilla/5.0 (Windows NT 10.0) Firefox/144.0"))
		w.refused("after that", "invalid_token", offer(three, "e="))

		g = w.signIn(alice, session.Cookie)
		four := ticket()
		_, err := w.store.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		w.refused("after the logout", "logged_out", offer(four, "f="))
		if strings.Contains(w.log.text(), "lkt_") {
			t.Error("a ticket is in the log")
		}
	})
}
