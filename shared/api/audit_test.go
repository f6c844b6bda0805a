package api_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// actions returns the entries of the audit list, oldest first, and empties it.
func (w *world) actions() (all []session.Action) {
	w.t.Helper()
	all, next, err := w.store.Actions(ctx, "", 1000)
	must(w.t, err)
	if next != "" {
		w.t.Errorf("there are more than %d entries", len(all))
	}
	must(w.t, w.redis.Client().Del(ctx, w.auditKey()).Err())
	slices.Reverse(all)
	return all
}

func (w *world) auditKey() string { return w.redis.Prefix + ":audit" }

// wantsActions asserts what the audit list has: of each entry the type, the actor, the account, and whether it failed.
func (w *world) wantsActions(what string, want ...string) {
	w.t.Helper()
	var got []string
	for _, a := range w.actions() {
		text := fmt.Sprint(a.Type, " by ", a.ActorAccount)
		if a.User != (token.UserID{}) {
			text += fmt.Sprint(" of ", a.User)
		}
		if a.Account != (token.Account{}) {
			text += fmt.Sprint(" ", a.Account)
		}
		if a.Failed {
			text += " failed"
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: the audit list has %q, want %q", what, got, want)
	}
}

// Every admin route leaves its entry, and one; the statistics, and what members do, leave none.
func TestAudit_everyRoute(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.script(), w.script(), newAccount(t)
		admin.signIn(root)
		user := c.signIn(alice).text("user", "id")
		name, by := alice.address.Hex(), " by "+root.address.Hex()
		of := by + " of " + user
		id := w.script().signIn(alice).text("session", "id")
		w.wantsActions("logins")
		for _, do := range []struct {
			method, path string
			body         any
			status       int
			want         string
		}{
			{"GET", "/api/admin/sessions", nil, 200, ""},
			{"GET", "/api/admin/users", nil, 200, "accounts.listed" + by},
			{"GET", "/api/admin/users?status=live", nil, 200, "accounts.listed" + by},
			{"GET", userPath(alice), nil, 200, "account.viewed" + of + " " + name},
			{"GET", "/api/admin/users/" + user, nil, 200, "account.viewed" + of + " " + name}, // a live session has the name
			{"GET", "/api/admin/activity?address=" + name, nil, 200, "activity.viewed" + of + " " + name},
			{"GET", "/api/admin/activity?address=" + user, nil, 200, "activity.viewed" + of},
			{"GET", "/api/admin/activity", nil, 200, "audit.viewed" + by},
			{"PUT", userPath(alice) + "/roles", map[string]any{"roles": []string{"admin"}}, 200, "roles.changed" + of + " " + name},
			{"PUT", userPath(alice) + "/roles", map[string]any{"roles": []string{}}, 200, "roles.changed" + of + " " + name},
			{"DELETE", "/api/admin/sessions/" + id, nil, 204, "session.ended" + of},
			{"DELETE", userPath(alice) + "/sessions", nil, 200, "session.ended" + of + " " + name},
			{"POST", userPath(alice) + "/block", nil, 204, "account.blocked" + of + " " + name},
			{"POST", userPath(alice) + "/block", nil, 204, "account.blocked" + of + " " + name}, // which changes nothing
			{"POST", userPath(alice) + "/unblock", nil, 204, "account.unblocked" + of + " " + name},
			{"DELETE", userPath(alice), nil, 204, "account.erased" + of}, // without its name
		} {
			admin.ask(do.method, do.path, do.body).wants(do.status, "")
			want := []string{do.want}
			if do.want == "" {
				want = nil
			}
			w.wantsActions(do.method+" "+do.path, want...)
		}
		admin.ask("GET", "/api/admin/users", nil, with("Accept", "application/x-ndjson")).wants(200, "")
		w.wantsActions("an export", "accounts.exported"+by)
		admin.ask("GET", "/api/sessions", nil).wants(200, "")
		admin.ask("GET", "/api/activity", nil).wants(200, "")
		admin.profile().wants(200, "")
		w.wantsActions("a member's routes")
	})
}

// No admin route is without an action, but for the statistics.
func TestAudit_complete(t *testing.T) {
	w, root := adminWorld(t, redistest.Embedded(t))
	admin := w.script()
	admin.signIn(root)
	for _, p := range protectedRoutes {
		want := 1
		if p.permission == "" || p.path == "/api/admin/sessions" {
			want = 0
		}
		if p.method == "DELETE" && want == 0 {
			continue // ends the session
		}
		admin.do(p)
		equal(t, "entries of "+p.String(), len(w.actions()), want)
	}
}

// A refusal of a caller who has the permission is in the list. Nothing else that is refused is.
func TestAudit_refusals(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) {
			w.cfg.Roles = map[string]api.Role{"support": {Permissions: []string{"users:read", "users:write", "sessions:write"}}}
		})
		admin, s, c, support, stranger := w.script(), w.script(), w.script(), newAccount(t), newAccount(t)
		rootID := admin.signIn(root).text("user", "id")
		s.signIn(support)
		c.signIn(stranger)
		admin.setRoles(support, "support").wants(200, "")
		rootSession := admin.profile().text("session", "id")
		w.actions()
		by, of, unseen := " by "+support.address.Hex(), " of "+rootID+" "+root.address.Hex()+" failed", newAccount(t)
		for path, want := range map[string]string{
			"PUT " + userPath(root) + "/roles":          "roles.changed",
			"POST " + userPath(root) + "/block":         "account.blocked",
			"DELETE " + userPath(root):                  "account.erased",
			"DELETE " + userPath(root) + "/sessions":    "session.ended",
			"DELETE /api/admin/sessions/" + rootSession: "session.ended",
		} {
			method, path, _ := strings.Cut(path, " ")
			var body any
			if method == "PUT" {
				body = map[string]any{"roles": []string{}}
			}
			if got := s.ask(method, path, body); got.status != 403 && got.status != 409 {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			w.wantsActions(path, want+by+of)
		}
		s.ask("GET", userPath(unseen), nil).wants(404, "not_found")
		unknown := w.store.UserOf(token.KeyAccount(unseen.address))
		w.wantsActions("a look at nobody", fmt.Sprint("account.viewed", by, " of ", unknown, " ", unseen.address.Hex(), " failed"))

		for _, p := range protectedRoutes { // by somebody without permission
			if p.permission != "" {
				c.do(p).wants(403, "forbidden")
			}
		}
		s.ask("GET", "/api/admin/activity", nil).wants(403, "forbidden") // it has others
		s.ask("GET", "/api/admin/users?status=x", nil).wants(400, badRequest)
		s.ask("GET", "/api/admin/users?cursor=x", nil).wants(400, badRequest)
		admin.ask("GET", "/api/admin/activity?cursor=x", nil).wants(400, badRequest)
		s.ask("PUT", userPath(stranger)+"/roles", map[string]any{"roles": []string{"none"}}).wants(400, badRequest)
		s.ask("POST", userPath(stranger)+"/block", "{").wants(400, badRequest)
		s.ask("GET", "/api/admin/users/x", nil).wants(400, badRequest)
		w.clock.add(5 * time.Minute)
		for _, p := range protectedRoutes {
			if p.fresh {
				admin.do(p).wants(401, "step_up_required")
			}
		}
		w.wantsActions("other refusals")
	})
}

// If no admin is configured, the refusal for the last one is in the list, with its name: it was not erased.
func TestAudit_lastAdmin(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, last := newWorld(t, r), newAccount(t)
		c := w.script()
		user := c.signIn(last).text("user", "id")
		_, err := w.store.SetRoles(ctx, w.store.UserOf(token.KeyAccount(last.address)), []string{"admin"}, session.Change{})
		must(t, err)
		c.ask("DELETE", userPath(last), nil).wants(409, "conflict")
		name := last.address.Hex()
		w.wantsActions("the last admin", "account.erased by "+name+" of "+user+" "+name+" failed")
	})
}

// The route shows the list, newest first, to those with audit:read. Reading it is in it from the next time on, once for
// all its pages.
func TestAudit_list(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) { w.cfg.Roles = map[string]api.Role{"auditor": {Permissions: []string{"audit:read"}}} })
		admin, c, alice := w.script(), w.script(), newAccount(t)
		rootID := admin.signIn(root).text("user", "id")
		aliceID := c.signIn(alice).text("user", "id")
		c.ask("GET", "/api/admin/activity", nil).wants(403, "forbidden")
		equal(t, "at first", admin.ask("GET", "/api/admin/activity", nil).object(), map[string]any{"events": []any{}})
		admin.setRoles(alice, "auditor").wants(200, "")
		admin.ask("POST", userPath(root)+"/block", nil).wants(409, "conflict")
		admin.ask("GET", "/api/admin/users", nil).wants(200, "")

		got := c.ask("GET", "/api/admin/activity?limit=2", nil)
		names(t, "the answer", got.object(), "events", "next")
		equal(t, "types", got.types(), []string{"accounts.listed", "account.blocked"})
		events := got.events()
		next := c.ask("GET", "/api/admin/activity?limit=2&cursor="+got.text("next"), nil)
		names(t, "the last page", next.object(), "events")
		equal(t, "types", next.types(), []string{"roles.changed", "audit.viewed"})
		events = append(events, next.events()...)
		names(t, "about no account", events[0], "v", "id", "time", "type", "actorId", "actor", "outcome")
		for i, want := range []map[string]any{
			{"v": 1.0, "time": "2026-11-23T10:00:00.000Z", "actorId": rootID, "actor": root.address.Hex(), "outcome": "success"},
			{"userId": rootID, "account": root.address.Hex(), "outcome": "failure"},
			{"userId": aliceID, "account": alice.address.Hex(), "outcome": "success"},
		} {
			if i > 0 {
				names(t, "about an account", events[i], "v", "id", "time", "type", "actorId", "actor", "userId", "account", "outcome")
			}
			for member, value := range want {
				equal(t, member, events[i][member], value)
			}
		}
		again := admin.ask("GET", "/api/admin/activity", nil)
		equal(t, "types", again.types(), []string{"audit.viewed", "accounts.listed", "account.blocked", "roles.changed", "audit.viewed"})
		equal(t, "who read it", again.events()[0]["actor"], alice.address.Hex())
		unknown := next.events()[0]["id"].(string)[1:]
		for _, bad := range []string{"limit=0", "cursor=", "cursor=x", "cursor=" + unknown, "status=live", "address="} {
			admin.ask("GET", "/api/admin/activity?"+bad, nil).wants(400, badRequest)
		}
	})
}

// Each look has a line in the audit log, also a further page, which the list has no entry for.
func TestAudit_log(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.script(), w.script(), newAccount(t)
		rootID := admin.signIn(root).text("user", "id")
		aliceID := c.signIn(alice).text("user", "id")
		for range 2 {
			admin.ask("POST", userPath(newAccount(t))+"/block", nil).wants(204, "")
		}
		w.events()
		page := "/api/admin/users?limit=1"
		next := admin.ask("GET", page, nil).wants(200, "").text("next")
		w.wantsEvents("a list", "accounts.listed success")
		admin.ask("GET", page+"&cursor="+next, nil).wants(200, "")
		w.wantsEvents("its next page", "accounts.listed success")
		admin.ask("GET", page, nil, with("Accept", "application/x-ndjson")).wants(200, "")
		e := w.last("accounts.exported")
		names(t, "an export", e, "time", "level", "msg", "type", "outcome", "actorId", "actor", "requestId", "ip", "device")
		equal(t, "actorId", e["actorId"], rootID)
		equal(t, "actor", e["actor"], root.address.Hex())
		var listed int
		for _, a := range w.actions() {
			if a.Type == session.EventAccountsListed {
				listed++
			}
		}
		equal(t, "entries for both pages", listed, 1)

		for path, kind := range map[string]string{
			userPath(alice): "account.viewed", "/api/admin/activity?address=" + alice.address.Hex(): "activity.viewed",
		} {
			w.events()
			admin.ask("GET", path, nil).wants(200, "")
			e = w.last(kind)
			names(t, kind, e, "time", "level", "msg", "type", "outcome", "userId", "account", "actorId", "actor",
				"requestId", "ip", "device", "target")
			equal(t, "userId", e["userId"], aliceID)
			equal(t, "account", e["account"], alice.address.Hex())
			equal(t, "actorId", e["actorId"], rootID)
			equal(t, "target", e["target"], alice.address.Hex())
		}
		w.events()
		admin.ask("GET", "/api/admin/activity", nil).wants(200, "")
		w.wantsEvents("the list", "audit.viewed success")
		admin.ask("GET", userPath(newAccount(t)), nil).wants(404, "not_found")
		w.wantsEvents("a look at nobody", "request failure reason=not_found")
		w.uniqueMembers()
	})
}

// AUDIT_LOG_ENABLED=false is about the log alone, and ACTIVITY_MAX_EVENTS=0 about what is stored.
func TestAudit_off(t *testing.T) {
	w, root := adminWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.AuditLog = false })
	admin := w.script()
	admin.signIn(root)
	admin.ask("GET", "/api/admin/users", nil).wants(200, "")
	w.wantsEvents("without a log")
	w.wantsActions("without a log", "accounts.listed by "+root.address.Hex())
	w, root = adminWorld(t, redistest.Embedded(t), func(w *world) { w.opts.ActivityMax = 0 })
	admin = w.script()
	admin.signIn(root)
	w.events()
	admin.ask("GET", "/api/admin/users", nil).wants(200, "")
	w.wantsEvents("without activity", "accounts.listed success")
	w.wantsActions("without activity")
}

// withoutAudit is a go-redis hook that refuses every script on the audit list. It counts them, and those without a deadline.
type withoutAudit struct {
	key                string
	refused, unlimited *atomic.Int64
}

func (h withoutAudit) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h withoutAudit) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (h withoutAudit) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !strings.HasPrefix(cmd.Name(), "eval") || !slices.Contains(cmd.Args(), any(h.key)) {
			return next(ctx, cmd)
		}
		h.refused.Add(1)
		if _, limited := ctx.Deadline(); !limited {
			h.unlimited.Add(1)
		}
		cmd.SetErr(redis.ErrClosed)
		return cmd.Err()
	}
}

// If only the list cannot be written, what the admin did is done and answered as ever, and a warning says so. The entry
// waits for no longer than a limit of its own.
func TestAudit_listAway(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		rdb := redis.NewClient(r.ProductOptions())
		t.Cleanup(func() { _ = rdb.Close() })
		root, alice := newAccount(t), newAccount(t)
		w := newWorldOn(t, r, rdb, func(w *world) { w.cfg.Admins = []token.Account{token.KeyAccount(root.address)} })
		h := withoutAudit{w.auditKey(), new(atomic.Int64), new(atomic.Int64)}
		rdb.AddHook(h)
		admin, c := w.script(), w.script()
		admin.signIn(root)
		c.signIn(alice)
		got := admin.ask("GET", userPath(alice), nil).wants(200, "")
		names(t, "the account", got.object(), "user", "sessions", "blocked")
		block := admin.ask("POST", userPath(alice)+"/block", nil).wants(204, "")
		equal(t, "reason", c.profile().wants(401, "session_ended").at("reason"), "account_blocked")
		admin.ask("POST", userPath(root)+"/block", nil).wants(409, "conflict")
		admin.ask("DELETE", userPath(alice), nil).wants(204, "") // of whom the list has nothing
		warned := w.lines("action not in the audit list")
		equal(t, "warnings", len(warned), 4)
		names(t, "a warning", warned[1], "time", "level", "msg", "requestId", "error")
		equal(t, "level", warned[1]["level"], "WARN")
		equal(t, "requestId", warned[1]["requestId"], block.header.Get("X-Request-Id"))
		equal(t, "scripts", h.refused.Load(), int64(4))
		equal(t, "scripts without a limit", h.unlimited.Load(), int64(0))
		equal(t, "faults", len(w.lines("unavailable")), 0)
	})
}

// An erasure, whoever asks for it, takes the name of the account out of the list, also that of an admin who erases itself.
func TestAudit_erasure(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		for _, how := range []string{"by an admin", "by its owner", "by its owner as an admin"} {
			w, root := adminWorld(t, r)
			w.actions() // of the world before
			admin, c, alice, bob := w.script(), w.script(), newAccount(t), newAccount(t)
			admin.signIn(root)
			user := c.signIn(alice).text("user", "id")
			admin.setRoles(alice, "admin").wants(200, "")
			c.ask("POST", userPath(bob)+"/block", nil).wants(204, "")
			switch how {
			case "by an admin":
				admin.ask("DELETE", userPath(alice), nil).wants(204, "")
			case "by its owner":
				c.ask("DELETE", "/api/profile", nil).wants(204, "")
			default:
				c.ask("DELETE", userPath(alice), nil).wants(204, "")
			}
			var about int
			for _, a := range w.actions() {
				if a.ActorAccount == token.KeyAccount(alice.address) || a.Account == token.KeyAccount(alice.address) {
					t.Errorf("%s: %v has the name", how, a.Type)
				}
				if a.Actor.String() == user || a.User.String() == user {
					about++
				}
				if a.Type == session.EventBlocked && a.Account != token.KeyAccount(bob.address) {
					t.Errorf("%s: another name is gone", how)
				}
			}
			equal(t, "entries "+how, about, map[string]int{"by an admin": 3, "by its owner": 2, "by its owner as an admin": 3}[how])
		}
	})
}
