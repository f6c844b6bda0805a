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

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// ear hears all that is sent to Redis, as MONITOR would: each command alone, and those of a pipeline together.
type ear func(cmds ...redis.Cmder)

func (e ear) DialHook(next redis.DialHook) redis.DialHook { return next }

func (e ear) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { e(cmd); return next(ctx, cmd) }
}

func (e ear) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { e(cmds...); return next(ctx, cmds) }
}

// tap keeps the text of what was sent.
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
	for _, text := range []string{access, refresh} {
		raw, err := base64.RawURLEncoding.DecodeString(text[4:])
		must(t, err)
		name := fmt.Sprintf("token %d", len(s))
		s.hide(name, text[4:])
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

const (
	storyAgent    = "storyteller/1.0 (made up)"
	storyDeviceID = "device-id-of-the-story"
)

// elsewhere are two networks that the story goes to.
var elsewhere = []string{"198.51.100.209", "2001:db8:77:88:99:aa:bb:cc"}

// story is a world whose Redis is searched for what nobody may find in it.
type story struct {
	*world
	root, alice account
	heard       *tap
	hidden      secrets
}

func newStory(t *testing.T, r redistest.Redis) *story {
	rdb := redis.NewClient(r.ProductOptions())
	t.Cleanup(func() { _ = rdb.Close() })
	s := &story{root: newAccount(t), alice: newAccount(t), heard: new(tap), hidden: secrets{}}
	rdb.AddHook(ear(s.heard.hear))
	s.world = newWorldOn(t, r, rdb, policies(session.PolicyStepUp, session.PolicyLog), rates(60, 30, 60), func(w *world) {
		w.cfg.Admins = append(w.cfg.Admins, token.KeyAccount(s.root.address))
		w.cfg.Roles = map[string]api.Role{"auditor": {Permissions: []string{"audit:read"}}}
	})
	for _, a := range []account{s.root, s.alice} {
		s.hidden["address "+a.address.Hex()] = a.address[:]
		s.hidden.hide("text of address "+a.address.Hex(), a.address.Hex()[2:])
	}
	for _, ip := range append([]string{clientIP}, elsewhere...) {
		s.hidden.hide("text of IP "+ip, ip)
		s.hidden["IP "+ip] = netip.MustParseAddr(ip).AsSlice()
		s.hidden["long IP "+ip] = net.ParseIP(ip)
	}
	for _, text := range []string{
		storyAgent, "storyteller", "Firefox on Linux", firefox, storyDeviceID, "Name of my device", "theme-of-the-story", "colour-of-the-story",
		"draft-of-the-story", "step-of-the-story", "text-of-the-story",
	} {
		s.hidden.hide(text, text)
	}
	return s
}

// search asserts that nothing hidden stands in Redis or was ever sent to it.
func (s *story) search(when string) {
	s.t.Helper()
	for key, value := range s.dump(s.t) {
		for _, name := range s.hidden.found(key + "\n" + value) {
			s.t.Errorf("%s: %s stands in %q", when, name, key)
		}
	}
	for _, name := range s.hidden.found(s.heard.sent.String()) {
		s.t.Errorf("%s: %s was sent", when, name)
	}
}

// In a story over all routes nothing that opens, and nothing about anybody, stands in Redis or is sent to it: no token,
// nonce, address, IP, user agent, name of a device, preference or state.
func TestStore_completeStory(t *testing.T) { // attack case 60
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		s := newStory(t, r)
		for _, c := range []*client{s.script(), s.browser()} {
			s.from(clientIP)
			c.header.Set("User-Agent", storyAgent)
			c.header.Set("X-Device-Id", storyDeviceID)
			body := s.signIn(c)
			s.useData(c)
			s.travel(c)
			s.end(c, body)
		}
		s.administer()
		if len(s.hidden) < 60 || s.heard.sent.Len() < 10_000 {
			t.Errorf("only %d secrets were looked for in %d bytes", len(s.hidden), s.heard.sent.Len())
		}
	})
}

// signIn is a login, whose body it returns.
func (s *story) signIn(c *client) map[string]any {
	m := c.message(s.alice)
	body := c.body(s.alice, m.String())
	body["deviceName"] = "Name of my device"
	s.hidden.hide("nonce "+m.Nonce, m.Nonce)
	s.hidden["signature "+m.Nonce] = s.alice.signature(m.String())
	unspent := c.nonce()
	s.hidden.hide("unspent nonce "+unspent, unspent)
	s.search("before login")
	c.take(c.login(body).wants(200, ""))
	s.hidden.hideTokens(s.t, c)
	s.search("after login")
	return body
}

func (s *story) useData(c *client) {
	c.ask("PATCH", "/api/preferences", map[string]any{"theme-of-the-story": "colour-of-the-story"}, with("If-Match", "*")).wants(200, "")
	c.ask("PUT", "/api/state/draft-of-the-story", map[string]any{"step-of-the-story": "text-of-the-story"}).wants(204, "")
	for _, path := range []string{"/api/preferences", "/api/state", "/api/state/draft-of-the-story", "/api/sessions", "/api/activity", "/api/profile"} {
		c.ask("GET", path, nil).wants(200, "")
	}
	s.search("with data")
}

// travel changes network and device, and steps up.
func (s *story) travel(c *client) {
	for _, ip := range elsewhere {
		s.from(ip)
		c.profile().wants(200, "")
		s.clock.add(time.Minute)
		c.take(c.renew().wants(200, ""))
		s.hidden.hideTokens(s.t, c)
	}
	c.header.Set("User-Agent", firefox)
	c.profile().wants(401, "step_up_required")
	text := c.stepUpMessage().String()
	c.take(c.stepUp(confirmation(s.alice, text)).wants(200, ""))
	s.hidden["signature of the step-up "+c.transport] = s.alice.signature(text)
	s.hidden.hideTokens(s.t, c)
	s.search("after a step-up")
}

// end leaves, and tries the login's body and a forged one.
func (s *story) end(c *client, body map[string]any) {
	c.ask("DELETE", "/api/state/draft-of-the-story", nil).wants(204, "")
	c.ask("DELETE", "/api/sessions", nil).wants(200, "")
	c.ask("DELETE", "/api/sessions/"+c.profile().text("session", "id"), nil).wants(204, "")
	c.login(body).wants(401, refused)
	c.login(c.body(s.root, c.message(s.alice).String())).wants(401, refused)
	s.search("after the end")
}

// administer does all that an admin may, to an erasure.
func (s *story) administer() {
	admin := s.script()
	admin.signIn(s.root)
	s.hidden.hideTokens(s.t, admin)
	path := "/api/admin/users/" + s.alice.address.Hex()
	s.script().signIn(s.alice)
	admin.ask("PUT", path+"/roles", map[string]any{"roles": []string{"auditor"}}).wants(200, "")
	admin.ask("DELETE", path+"/sessions", nil).wants(200, "")
	admin.ask("POST", path+"/block", nil).wants(204, "")
	s.search("with a block")
	for _, read := range []string{path, "/api/admin/sessions", "/api/admin/activity?address=" + s.alice.address.Hex(), "/health"} {
		admin.send("GET", read, nil, admin.credential()...).wants(200, "")
	}
	_, err := s.store.Sweep(ctx)
	must(s.t, err)
	admin.ask("POST", path+"/unblock", nil).wants(204, "")
	admin.ask("DELETE", path, nil).wants(204, "")
	admin.logout(map[string]any{"everywhere": true}).wants(204, "")
	s.search("after an erasure")
}
