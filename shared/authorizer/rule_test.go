package authorizer_test

import (
	"crypto/rand"
	"net/netip"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func rules(t testing.TB, texts ...string) []authorizer.Rule {
	t.Helper()
	var all []authorizer.Rule
	for _, text := range texts {
		rule, err := authorizer.ParseRule(text)
		must(t, err)
		all = append(all, rule)
	}
	return all
}

func TestParseRule(t *testing.T) {
	for text, want := range map[string]authorizer.Rule{
		"GET /orders*=orders:read":    {Method: "GET", Path: "/orders", Prefix: true, Permission: "orders:read"},
		"POST /orders=orders:write":   {Method: "POST", Path: "/orders", Permission: "orders:write"},
		"* /*=a":                      {Method: "*", Path: "/", Prefix: true, Permission: "a"},
		"* /=a":                       {Method: "*", Path: "/", Permission: "a"},
		"GET /orders/*=a":             {Method: "GET", Path: "/orders/", Prefix: true, Permission: "a"},
		"GET /$connect=chat:use":      {Method: "GET", Path: "/$connect", Permission: "chat:use"},
		"DELETE /a.b/c_d/~e-f=x:y=z*": {Method: "DELETE", Path: "/a.b/c_d/~e-f", Permission: "x:y=z*"},
	} {
		if got, err := authorizer.ParseRule(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "=", "GET /orders", "GET /orders=", "/orders=a", "get /orders=a", "GET,POST /orders=a", "GET orders=a", "GET *=a", "** /a=a", " /a=a",
		"GET /a/=a", "GET /a//b=a", "GET /a/../b=a", "GET /./a=a", "GET /a*b=a", "GET /a**=a", "GET /{id}=a", "GET /a%20b=a", "GET /a;b=a", "GET /a?b=a",
		"GET /a\\b=a", "GET  /a=a", "GET /a/*/=a", "GET //*=a", "GET /a\n=a",
	} {
		if got, err := authorizer.ParseRule(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// request makes an event one of a route: as API Gateway would fill in every
// member that tells of it.
func (e event) request(method, path, route string) event {
	e.method(method)
	switch e.shape {
	case http2:
		key := route
		if route != "$default" {
			key = "ANY " + route
		}
		return e.set(path, "rawPath").set(key, "routeKey").set(key, "requestContext", "routeKey").set(path, "requestContext", "http", "path")
	case restToken:
		return e.set("arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/"+method+path, "methodArn")
	case webSocket:
		return e
	}
	return e.set(path, "path").set(route, "resource")
}

var byPath = []shape{http2, http1, restRequest, restToken}

func TestInvoke_permissions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(s *settings) {
			s.rules = rules(t, "GET /orders*=orders:read", "POST /orders=orders:write", "* /orders/secret=orders:audit", "GET /posts=posts:read", "GET /$connect=chat:use")
		})
		user, clerk, admin := w.signIn(alice, session.Bearer), w.signIn(bob, session.Bearer), w.signIn(carol, session.Bearer)
		_, err := w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(bob)), []string{"clerk"}, session.Change{})
		must(t, err)
		_, err = w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(carol)), []string{"admin"}, session.Change{})
		must(t, err)
		for _, s := range byPath {
			for _, tt := range []struct {
				method, path, route string
				user, clerk, admin  bool
			}{
				{"GET", "/orders", "/orders", false, true, true},
				{"HEAD", "/orders", "/orders", false, true, true}, // shows of a GET what matters
				{"get", "/orders", "/orders", false, true, true},
				{"Head", "/orders", "/orders", false, true, true},
				{"GET", "/orders/5", "/orders/{id}", false, true, true},
				{"GET", "/orders/5/lines", "/orders/{proxy+}", false, true, true},
				{"GET", "/ordersX", "/ordersX", false, true, true},
				{"POST", "/orders", "/orders", false, false, true}, // a permission that no role gives is an admin's
				{"POST", "/orders/5", "/orders/{id}", true, true, true},
				{"GET", "/orders/secret", "/orders/{id}", false, false, true}, // all that match must hold
				{"PUT", "/orders/secret", "/orders/{id}", false, false, true},
				{"GET", "/posts", "/posts", true, true, true},
				{"GET", "/other", "/other", true, true, true},
				{"GET", "/", "/", true, true, true},
			} {
				for token, allowed := range map[string]bool{user.AccessToken: tt.user, clerk.AccessToken: tt.clerk, admin.AccessToken: tt.admin} {
					e := newEvent(t, s).request(tt.method, tt.path, tt.route).bearer(token)
					if allowed {
						w.wants(tt.method+" "+tt.path, "allow", e)
					} else {
						w.refused(tt.method+" "+tt.path, "forbidden", e)
					}
				}
			}
		}
		w.refused("a handshake", "forbidden", newEvent(t, webSocket).bearer(clerk.AccessToken))
		w.wants("a handshake", "allow", newEvent(t, webSocket).bearer(admin.AccessToken))
		// A role that is given or taken holds from the next event on.
		_, err = w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(alice)), []string{"clerk"}, session.Change{})
		must(t, err)
		w.wants("promoted", "allow", newEvent(t, http2).request("GET", "/orders", "/orders").bearer(user.AccessToken))
		_, err = w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(alice)), nil, session.Change{})
		must(t, err)
		w.refused("demoted", "forbidden", newEvent(t, http2).request("GET", "/orders", "/orders").bearer(user.AccessToken))
	})
}

// Attack case 54: a token that one route lets in is judged again by the route
// that wants more. The policy names the stage, so whoever caches results must
// have the route in the key; what is decided here never comes from another
// route.
func TestInvoke_anotherRouteWantsMore(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(s *settings) { s.rules = rules(t, "GET /orders=orders:read") })
		g := w.signIn(alice, session.Bearer)
		for _, s := range byPath {
			for range 2 {
				w.wants("open to all", "allow", newEvent(t, s).request("GET", "/posts", "/posts").bearer(g.AccessToken))
				w.refused("wants more", "forbidden", newEvent(t, s).request("GET", "/orders", "/orders").bearer(g.AccessToken))
			}
		}
	})
}

// Attack case 57: another spelling of a path, another stage, the API's other
// name or its catch-all route leads around no rule, and nothing is served
// without a session.
func TestInvoke_pathTricks(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(s *settings) { s.rules = rules(t, "* /orders=orders:read", "* /orders/*=orders:read") })
		user, clerk := w.signIn(alice, session.Bearer), w.signIn(bob, session.Bearer)
		_, err := w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(bob)), []string{"clerk"}, session.Change{})
		must(t, err)
		for _, s := range byPath {
			for _, path := range []string{
				"/orders/", "//orders", "/orders//", "/x//orders", "/./orders", "/x/../orders", "/orders/.", "/orders%2f", "/orders%2F5", "/orders;x",
				"/orders;", "/orders%3B", "/orders%00", "/orders%20%25", "/%6Frders%2f", "/orders\\5", "/orders%5C5", "/orders?x", "/orders#x", "/%2e/orders",
				"/%2e%2e/orders", "orders", "", "/orders%", "/orders%zz", "/orders%252f", "/orders\t", "/orders\u2028", "/%ff",
			} {
				if s == restToken && strings.HasPrefix(path, "orders") || path == "" && s == restToken {
					continue // an ARN always has the slash
				}
				for _, route := range []string{"$default", "/{proxy+}", "/orders"} {
					if route == "$default" && s != http2 {
						continue
					}
					e := newEvent(t, s).request("GET", path, route)
					if got := w.decide(e); got.outcome == "allow" {
						t.Errorf("%s %q by %s without a session: %s", s, path, route, got.text)
					}
					if got := w.decide(e.bearer(user.AccessToken)); got.outcome != "deny" {
						t.Errorf("%s %q by %s: %s", s, path, route, got.text)
					}
					if got := w.decide(e.bearer(clerk.AccessToken)); got.outcome != "deny" {
						t.Errorf("%s %q by %s, with the permission: %s", s, path, route, got.text)
					}
				}
			}
			for _, path := range []string{"/ORDERS", "/Orders/5", "/%6frders", "/orders/a%20b", "/order\u017f", "/order\u017f/5"} {
				e := newEvent(t, s).request("GET", path, "/{proxy+}")
				w.refused(path, "forbidden", e.bearer(user.AccessToken))
				w.wants(path, "allow", e.bearer(clerk.AccessToken))
			}
		}
		// By whatever name the API was called: the stage, or a base path,
		// stands in front of what the rule names.
		for _, s := range []shape{http2, http1, restRequest} {
			for _, path := range []string{"/orders/5", "/test/orders/5", "/v1/orders/5", "/shop/v1/orders/5"} {
				for _, route := range []string{"/orders/{id}", "/orders/{proxy+}", "/{proxy+}", "/{a}/{proxy+}", "$default"} {
					e := newEvent(t, s).request("GET", path, route)
					w.refused(path+" by "+route, "forbidden", e.bearer(user.AccessToken))
					w.wants(path+" by "+route, "allow", e.bearer(clerk.AccessToken))
				}
			}
			// The route says where the path begins.
			w.wants("an order's namesake", "allow", newEvent(t, s).request("GET", "/customers/7/orders", "/customers/{id}/orders").bearer(user.AccessToken))
			w.refused("a path of another route", "invalid_request", newEvent(t, s).request("GET", "/orders/5", "/posts/{id}").bearer(clerk.AccessToken))
		}
	})
}

// Behind a catch-all route the backend may take another spelling for the guarded
// path: with a space or a dot at an end, with an extension, in full width, with
// accents. Each needs the permission, and paths that only have such characters
// do not.
func TestInvoke_spellingsOfAGuardedPath(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(s *settings) {
			s.rules = rules(t, "* /admin/x=orders:read", "* /vault-keys/*=orders:read", "GET /=orders:read")
		})
		user, clerk := w.signIn(alice, session.Bearer), w.signIn(bob, session.Bearer)
		_, err := w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(bob)), []string{"clerk"}, session.Change{})
		must(t, err)
		for _, s := range byPath {
			at := func(path, token string) event { return newEvent(t, s).request("GET", path, "/{proxy+}").bearer(token) }
			for _, path := range []string{
				"/admin/x", "/ADMIN/X", "/%61dmin/x", // as before
				"/admin/x%20", "/admin/x.", "/admin/x...", "/admin/x%20.%20", "/admin%20/x", "/admin./x", "/%20admin/x", "/admin/%20x", "/admin/x+", "/+admin/x",
				"/ａdmin/x", "/%EF%BD%81dmin/x", "/ＡＤＭＩＮ/x", "/admin/ⓧ", "/admin/𝐱", "/admin/ˣ", "/admin/ⅹ", // full width, circled, bold, superscript, numeral
				"/ádmin/x", "/ádmin/x", "/ad͏min/x", "/adminㅤ/x", "/admin/x️", "/admın/x", "/admİn/x", // accents, fillers, i without and with a dot
				"/αdmin/x", "/admin⁄x/x"[:len("/admin")] + "/x", "/ađmin/x", "/ædmin/x"[:1] + "æmin/x", // alpha, d with a stroke, ae
				"/admin/x.json", "/admin/x.json.gz", "/admin/x%20.json", "/ａdmin/x.json",
				"/ad日min/x", "/admin🎉/x", "/admin/xж", // dropped where only ASCII is kept
				"/vault-keys/5", "/vault–keys/5", "/vault−keys/5/6", "/vａult-keys/日", "/vault-keys./5", "/vault-keys日/5",
			} {
				w.refused(path, "forbidden", at(path, user.AccessToken))
				w.wants(path, "allow", at(path, clerk.AccessToken))
			}
			for _, path := range []string{
				"/admin/x%3Bv=1", "/admin/x;", "/admin/x%00", "/admin/x%0a", "/admin/x%c2%a0", "/admin/x　", "/admin/x\u00ad", "/admin/x\u200d", // a parameter, controls, spaces, fillers
				"/admin／x", "/admin℀", "/admin/x；", "/admin/x;", "/x％20", "/admin＼x", "/admin/x？", "/admin/x＃", // compatibility forms of / ; % \ ? #
				"/admin/.../x", "/admin/%20/x", "/admin/…/x", "/admin/́/x", "/admin/+/x", "/...", "/．．/admin/x", "/%u0061dmin/x", "/%c0%afadmin/x",
			} {
				w.refused(path, "invalid_request", at(path, user.AccessToken))
				w.refused(path, "invalid_request", at(path, clerk.AccessToken))
			}
			for _, path := range []string{
				"/tags/a%20b", "/tags/M%C3%BCller", "/tags/été", "/tags/日本語", "/日本", "/tags/🎉", "/tags/ж", "/tags/ø", "/tags/a+b",
				"/files/report.v2.pdf", "/.well-known/x.json", "/admin/xy", "/admin/y", "/admin", "/adminx", "/admin/x-y", "/admin/x.json/y", "/x", "/admin/x/y", "/admin/日",
				"/vault-keys", "/vault-key/5", "/vaultkeys/5", "/座標/x", "/admi/x", "/admin/ж",
			} {
				w.wants(path, "allow", at(path, user.AccessToken))
			}
		}
		// A long path of characters that may stand for others costs little.
		began := time.Now()
		w.wants("a long path", "allow", newEvent(t, http2).request("GET", strings.Repeat("/øøø", 1400), "$default").bearer(user.AccessToken))
		if took := time.Since(began); took > time.Second {
			t.Errorf("a long path took %v", took)
		}
	})
}

// Attack case 54, where API Gateway caches what it cannot tell apart by route:
// with rules a policy covers the route that it was asked about and no other.
func TestInvoke_ruledPolicyIsOfOneRoute(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(s *settings) { s.rules = rules(t, "* /admin*=secret:write") })
		g := w.signIn(alice, session.Bearer)
		for _, s := range []shape{http1, restRequest, restToken} {
			e := newEvent(t, s).bearer(g.AccessToken)
			got := w.decide(e)
			if got.outcome != "allow" || strings.HasSuffix(got.resource, "/*") || strings.Count(got.resource, "/") < 3 {
				t.Errorf("%s: %s of %s", s, got.outcome, got.resource)
			}
		}
		// No policy can be about this route alone, so it is denied, and counted.
		w.counted()
		e := newEvent(t, restToken).request("GET", "/posts*", "/posts*").bearer(g.AccessToken)
		w.wants("a route with a wildcard", "deny", e)
		if counted := w.counted(); len(counted) != 1 || counted[api.Denials] != 1 {
			t.Errorf("a denial counted %v", counted)
		}
	})
}

// A browser's WebSocket cannot send the header by which its session is bound to
// a device: that is no other device. Browser and system are compared as ever,
// whether or not the session has an id.
func TestInvoke_handshakeShowsNoDeviceID(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, id := range []string{"dev-1", ""} {
			g := w.signInFrom(session.Device{Browser: "curl", ID: id}, session.Bearer)
			open := func(agent string) decision {
				return w.decide(newEvent(t, webSocket).header("User-Agent", agent).header("Sec-WebSocket-Protocol", "latchkey, "+g.AccessToken))
			}
			for range 2 {
				if got := open("curl/8.5.0"); got.outcome != "allow" {
					t.Errorf("with id %q: %s", id, got.outcome)
				}
			}
			if id != "" {
				got := w.decide(newEvent(t, http2).bearer(g.AccessToken).header("X-Device-Id", id))
				if got.outcome != "allow" {
					t.Errorf("afterwards, with the id: %s", got.outcome)
				}
			}
			if got := open("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"); got.outcome == "allow" {
				t.Errorf("another browser opened a session that is bound with id %q", id)
			}
		}
	})
}

// signInFrom makes a session of alice on a device.
func (w *world) signInFrom(d session.Device, transport session.Transport) session.Grant {
	w.t.Helper()
	g, err := w.store.Create(ctx, session.Login{Nonce: rand.Text(), Account: token.KeyAccount(alice), ChainID: 1, Client: session.Client{
		IP: netip.MustParseAddr(clientIP), Device: d, Transport: transport,
	}})
	must(w.t, err)
	return g
}

// A link or an image of any page carries the cookie of a session that is bound
// to a device id, and cannot carry the id. It is denied, and does no harm.
func TestInvoke_foreignLink(t *testing.T) {
	for _, policy := range []session.Policy{session.PolicyStepUp, session.PolicyRevoke} {
		each(t, func(t *testing.T, w *world, s shape) {
			if s == restToken || s == webSocket {
				t.Skip("no page can make a browser send it by a link")
			}
			g := w.signInFrom(session.Device{Browser: "curl", ID: "dev-1"}, session.Cookie)
			at := func() event { return newEvent(t, s).cookie("__Host-session=" + g.AccessToken) }
			for _, mode := range []string{"navigate", "no-cors"} {
				w.refused(mode, "step_up_required", at().header("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Mode", mode))
				w.wants(mode+" with the id", "allow", at().header("Sec-Fetch-Mode", mode).header("X-Device-Id", "dev-1"))
				w.wants("the own page", "allow", at().header("X-Device-Id", "dev-1"))
			}
			w.wants("a script without the id", "deny", at().header("Sec-Fetch-Mode", "cors"))
			w.wants("the own page, after it", "deny", at().header("X-Device-Id", "dev-1"))
		}, func(s *settings) { s.opts.DevicePolicy = policy })
	}
}
