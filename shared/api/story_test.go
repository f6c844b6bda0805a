package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
)

// tap hears all that is sent to Redis, as MONITOR would.
type tap struct {
	mu   sync.Mutex
	sent strings.Builder
}

func (h *tap) hear(cmds ...redis.Cmder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			if raw, ok := arg.([]byte); ok {
				arg = string(raw)
			}
			fmt.Fprint(&h.sent, arg, "\n")
		}
	}
}

func (h *tap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *tap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.hear(cmd); return next(ctx, cmd) }
}

func (h *tap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { h.hear(cmds...); return next(ctx, cmds) }
}

// secrets are what nobody who reads Redis may find, by name.
type secrets map[string][]byte

func (s secrets) hide(name, text string) { s[name] = []byte(text) }

// hideTokens hides what a client holds.
func (s secrets) hideTokens(t testing.TB, c *client) {
	t.Helper()
	access, refresh := c.access, c.refresh
	if c.transport == "cookie" {
		access, refresh = c.cookie("session"), c.cookie("refresh")
		s.hide("pre-login cookie", c.cookie("prelogin"))
	}
	for _, token := range []string{access, refresh} {
		raw, err := base64.RawURLEncoding.DecodeString(token[4:])
		must(t, err)
		name := fmt.Sprintf("token %d", len(s))
		s.hide(name, token[4:])
		s[name+"'s secret"], s[name+"'s gate"] = raw[len(raw)-48:len(raw)-16], raw[len(raw)-16:]
	}
}

// found names what of it stands in a text.
func (s secrets) found(text string) []string {
	var found []string
	for name, value := range s {
		for spelling, needle := range spellings(value) {
			if len(needle) < 8 && spelling != "as it is" { // too short not to come up by chance
				continue
			}
			if strings.Contains(text, string(needle)) {
				found = append(found, name+" ("+spelling+")")
			}
		}
	}
	return found
}

// In a story over all routes nothing that opens, and nothing about anybody, stands in Redis or is sent to it: no token,
// nonce, address, IP, user agent, name of a device, preference or state.
func TestStore_wholeStory(t *testing.T) { // attack case 60
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		heard := new(tap)
		rdb := redis.NewClient(r.Options())
		defer rdb.Close()
		rdb.AddHook(heard)
		root, alice := newAccount(t), newAccount(t)
		w := newWorldOn(t, r, rdb, policies(session.PolicyStepUp, session.PolicyLog), rates(60, 30, 60), func(w *world) {
			w.cfg.Admins = append(w.cfg.Admins, root.address)
			w.cfg.Roles = map[string]api.Role{"auditor": {Permissions: []string{"audit:read"}}}
		})
		hidden := secrets{}
		for _, a := range []account{root, alice} {
			hidden["address "+a.address.Hex()] = a.address[:]
			hidden.hide("text of address "+a.address.Hex(), a.address.Hex()[2:])
		}
		for _, ip := range []string{clientIP, "198.51.100.209", "2001:db8:77:88:99:aa:bb:cc"} {
			hidden.hide("text of IP "+ip, ip)
			hidden["IP "+ip] = netip.MustParseAddr(ip).AsSlice()
			hidden["long IP "+ip] = net.ParseIP(ip)
		}
		const agent, id = "storyteller/1.0 (made up)", "device-id-of-the-story"
		for _, text := range []string{
			agent, "storyteller", "Firefox on Linux", firefox, id, "Name of my device", "theme-of-the-story", "colour-of-the-story", "draft-of-the-story",
			"step-of-the-story", "text-of-the-story",
		} {
			hidden.hide(text, text)
		}
		search := func(when string) {
			t.Helper()
			for key, value := range w.dump(t) {
				for _, name := range hidden.found(key + "\n" + value) {
					t.Errorf("%s: %s stands in %q", when, name, key)
				}
			}
			for _, name := range hidden.found(heard.sent.String()) {
				t.Errorf("%s: %s was sent", when, name)
			}
		}

		for _, c := range []*client{w.script(), w.browser()} {
			w.from(clientIP)
			c.header.Set("User-Agent", agent)
			c.header.Set("X-Device-Id", id)
			m := c.message(alice)
			body := c.body(alice, m.String())
			body["deviceName"] = "Name of my device"
			hidden.hide("nonce "+m.Nonce, m.Nonce)
			hidden["signature "+m.Nonce] = alice.signature(m.String())
			unspent := c.nonce()
			hidden.hide("unspent nonce "+unspent, unspent)
			search("before login")
			c.take(c.login(body).wants(200, ""))
			hidden.hideTokens(t, c)
			search("after login")

			c.ask("PATCH", "/api/preferences", map[string]any{"theme-of-the-story": "colour-of-the-story"}, with("If-Match", "*")).wants(200, "")
			c.ask("PUT", "/api/state/draft-of-the-story", map[string]any{"step-of-the-story": "text-of-the-story"}).wants(204, "")
			for _, path := range []string{"/api/preferences", "/api/state", "/api/state/draft-of-the-story", "/api/sessions", "/api/activity", "/api/profile"} {
				c.ask("GET", path, nil).wants(200, "")
			}
			search("with data")

			for _, ip := range []string{"198.51.100.209", "2001:db8:77:88:99:aa:bb:cc"} {
				w.from(ip)
				c.profile().wants(200, "")
				w.clock.add(time.Minute)
				c.take(c.renew().wants(200, ""))
				hidden.hideTokens(t, c)
			}
			c.header.Set("User-Agent", firefox)
			c.profile().wants(401, "step_up_required")
			text := c.stepUpMessage().String()
			c.take(c.stepUp(confirmation(alice, text)).wants(200, ""))
			hidden["signature of the step-up "+c.transport] = alice.signature(text)
			hidden.hideTokens(t, c)
			search("after a step-up")
			c.ask("DELETE", "/api/state/draft-of-the-story", nil).wants(204, "")
			c.ask("DELETE", "/api/sessions", nil).wants(200, "")
			c.ask("DELETE", "/api/sessions/"+c.profile().text("session", "id"), nil).wants(204, "")
			c.login(body).wants(401, refused)
			c.login(c.body(root, c.message(alice).String())).wants(401, refused)
			search("after the end")
		}

		admin := w.script()
		admin.signIn(root)
		hidden.hideTokens(t, admin)
		path := "/api/admin/users/" + alice.address.Hex()
		w.script().signIn(alice)
		admin.ask("PUT", path+"/roles", map[string]any{"roles": []string{"auditor"}}).wants(200, "")
		admin.ask("DELETE", path+"/sessions", nil).wants(200, "")
		admin.ask("POST", path+"/block", nil).wants(204, "")
		search("with a block")
		for _, read := range []string{path, "/api/admin/sessions", "/api/admin/activity?address=" + alice.address.Hex(), "/health"} {
			admin.send("GET", read, nil, admin.credential()...).wants(200, "")
		}
		_, err := w.store.Sweep(ctx)
		must(t, err)
		admin.ask("POST", path+"/unblock", nil).wants(204, "")
		admin.ask("DELETE", path, nil).wants(204, "")
		admin.logout(map[string]any{"everywhere": true}).wants(204, "")
		search("after an erasure")
		if len(hidden) < 60 || heard.sent.Len() < 10_000 {
			t.Errorf("only %d secrets were looked for in %d bytes", len(hidden), heard.sent.Len())
		}
	})
}
