package api_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// before is a go-redis hook that is called ahead of every single command.
type before func(cmd redis.Cmder)

func (b before) DialHook(next redis.DialHook) redis.DialHook { return next }
func (b before) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (b before) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		b(cmd)
		return next(ctx, cmd)
	}
}

// hookedWorld is a world whose server calls act ahead of its next script, once it is armed.
func hookedWorld(t *testing.T, r redistest.Redis, options ...func(*world)) (w *world, arm func(act func())) {
	t.Helper()
	rdb := redis.NewClient(r.ProductOptions())
	t.Cleanup(func() { _ = rdb.Close() })
	w = newWorldOn(t, r, rdb, options...)
	var next atomic.Pointer[func()]
	rdb.AddHook(before(func(cmd redis.Cmder) {
		if cmd.Name() != "evalsha" {
			return
		}
		if act := next.Swap(nil); act != nil {
			(*act)()
		}
	}))
	return w, func(act func()) { next.Store(&act) }
}

// Who is no admin does not decide over one, also where the account becomes one at that very moment.
func TestRank_racingAPromotion(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root := newAccount(t)
		w, arm := hookedWorld(t, r, func(w *world) {
			w.cfg.Admins = []token.Account{token.KeyAccount(root.address)}
			w.cfg.Roles = map[string]api.Role{"support": {Permissions: []string{"users:read", "users:write", "sessions:write"}}}
		})
		admin, c, support, bob := w.script(), w.script(), newAccount(t), newAccount(t)
		admin.signIn(root)
		c.signIn(support)
		admin.setRoles(support, "support").wants(200, "")
		b := w.script()
		b.signIn(bob)
		id := b.profile().text("session", "id")
		for name, change := range map[string]func() answer{
			"roles":        func() answer { return c.setRoles(bob) },
			"block":        func() answer { return c.ask("POST", userPath(bob)+"/block", nil) },
			"erase":        func() answer { return c.ask("DELETE", userPath(bob), nil) },
			"all sessions": func() answer { return c.ask("DELETE", userPath(bob)+"/sessions", nil) },
			"one session":  func() answer { return c.ask("DELETE", "/api/admin/sessions/"+id, nil) },
		} {
			admin.setRoles(bob).wants(200, "")
			arm(func() { admin.setRoles(bob, "admin").wants(200, "") })
			if got := change(); got.status != 403 {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			b.ask("GET", "/api/admin/sessions", nil).wants(200, "") // alive, and an admin
		}
	})
}

// A request that was under way with the old token of a held session gains nothing from the step-up that comes meanwhile.
func TestStepUp_oldTokenUnderWay(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root, alice := newAccount(t), newAccount(t)
		w, arm := hookedWorld(t, r, policies(session.PolicyStepUp, session.PolicyLog), func(w *world) { w.cfg.Admins = []token.Account{token.KeyAccount(root.address)} })
		c, victim := w.script(), w.script()
		c.signIn(root)
		victim.signIn(alice)
		w.clock.add(6 * time.Minute)
		thief := c.copyOf()
		thief.profile(with("User-Agent", firefox)).wants(401, "step_up_required")
		body := confirmation(root, c.stepUpMessage().String())
		w.clock.add(31 * time.Second) // so that activity is due to be recorded
		arm(func() { c.take(c.stepUp(body).wants(200, "")) })
		thief.ask("DELETE", userPath(alice), nil).wants(401, "token_expired")
		victim.profile().wants(200, "")
		c.profile().wants(200, "")
	})
}

// A form of another site's page cannot delete our cookies, also in a browser that knows no Fetch Metadata.
func TestCookies_foreignFormWithoutFetchMetadata(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		b := w.browser()
		b.signIn(newAccount(t))
		got := b.send("POST", "/auth/logout?access_token=x", "a=b",
			with("Content-Type", "text/plain"), with("Origin", "https://evil.example"), without("Sec-Fetch-Site"))
		got.wants(400, "invalid_request")
		if cookies := got.header["Set-Cookie"]; len(cookies) > 0 {
			t.Errorf("it deleted %q", cookies)
		}
		b.profile().wants(200, "")
	})
}

// A role without permissions may mean something to a backend, and one with maxSessions changes the session limit: only
// admins give or take them away, also for callers themselves.
func TestRank_reservedRoles(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		one, editing := 1, []string{"posts:write"}
		w, root := adminWorld(t, r, func(w *world) {
			w.cfg.Roles = map[string]api.Role{
				"support": {Permissions: []string{"users:read", "users:write", "posts:write"}}, "editor": {Permissions: editing},
				"premium": {}, "kiosk": {MaxSessions: &one}, "writer": {Permissions: editing, MaxSessions: &one}, "foreign": {Permissions: []string{"x"}},
			}
		})
		admin, c, support, bob := w.script(), w.script(), newAccount(t), newAccount(t)
		admin.signIn(root)
		c.signIn(support)
		admin.setRoles(support, "support").wants(200, "")
		refused := func(what, permission string, got answer) {
			t.Helper()
			equal(t, "permission for "+what, got.wants(403, "forbidden").text("permission"), permission)
		}
		for _, role := range []string{"premium", "kiosk", "writer"} {
			admin.setRoles(bob).wants(200, "")
			refused("giving "+role, "admin", c.setRoles(bob, role))
			refused("giving "+role+" to oneself", "admin", c.setRoles(support, "support", role))
			admin.setRoles(bob, role, "editor").wants(200, "")
			refused("taking "+role, "admin", c.setRoles(bob, "editor"))
			refused("taking everything", "admin", c.setRoles(bob))
			c.setRoles(bob, role).wants(200, "") // the reserved one stays
			c.setRoles(bob, role, "editor").wants(200, "")
			admin.setRoles(support, "support", role).wants(200, "")
			refused("taking one's own "+role, "admin", c.setRoles(support, "support"))
			refused("taking all of one's own", "admin", c.setRoles(support))
			admin.setRoles(support, "support").wants(200, "")
		}
		admin.setRoles(bob).wants(200, "")
		refused("a permission that is lacked", "x", c.setRoles(bob, "foreign"))
		c.setRoles(bob, "editor").wants(200, "")
		c.setRoles(bob).wants(200, "")
		c.setRoles(support, "editor").wants(200, "") // one's own, downwards
	})
}

// The roles count that the account has when it is changed.
func TestRank_reservedRoleAtThatMoment(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root := newAccount(t)
		w, arm := hookedWorld(t, r, func(w *world) {
			w.cfg.Admins = []token.Account{token.KeyAccount(root.address)}
			w.cfg.Roles = map[string]api.Role{"support": {Permissions: []string{"users:write"}}, "suspended": {}}
		})
		admin, c, support, bob := w.script(), w.script(), newAccount(t), newAccount(t)
		admin.signIn(root)
		c.signIn(support)
		admin.setRoles(support, "support").wants(200, "")
		admin.setRoles(bob, "support").wants(200, "")
		arm(func() { admin.setRoles(bob, "suspended").wants(200, "") })
		c.setRoles(bob).wants(403, "forbidden")
		equal(t, "roles", admin.ask("GET", userPath(bob), nil).at("user", "roles"), []any{"user", "suspended"})
	})
}

// A role that the configuration no longer has means nothing, so it keeps nobody from changing the account.
func TestRank_roleNoLongerConfigured(t *testing.T) {
	w, root := adminWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.Roles = map[string]api.Role{"support": {Permissions: []string{"users:write"}}, "premium": {}}
	})
	admin, c, support, bob := w.script(), w.script(), newAccount(t), newAccount(t)
	admin.signIn(root)
	c.signIn(support)
	admin.setRoles(support, "support").wants(200, "")
	admin.setRoles(bob, "premium").wants(200, "")
	c.setRoles(bob).wants(403, "forbidden")
	delete(w.cfg.Roles, "premium")
	c.setRoles(bob).wants(200, "")
}
