package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/local/answers"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Export, flush, restore: roles, blocks and notes are as before.
func TestRestore(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, file, before := populated(t, r)
		equal(t, "accounts", len(before), 7)
		w.deleteAll()
		access := w.token(w.admin)
		equal(t, "after the flush", len(w.list(access)), 0)
		got := w.run(access, file).succeeds(
			"Restored 7, skipped 0 that were done before, refused 0, left 0 of 7 accounts.")
		equal(t, "restored", w.list(access), before)
		equal(t, "lines", strings.Count(got.out, ": restored: "), 7)
		for _, secret := range []string{access, "spam", "known by"} {
			if strings.Contains(got.all(), secret) {
				t.Errorf("the run writes %q", secret)
			}
		}
		requests := w.requests.Load()
		w.run("", file).succeeds("is restored already: all 7 accounts are done. " +
			"To restore it again, delete " + file + ".progress")
		equal(t, "requests of a run with nothing to do", w.requests.Load()-requests, int64(0))
		must(t, os.Remove(file+".progress"))
		w.run(access, file).succeeds("Restored 7")
		equal(t, "restored twice", w.list(access), before)
	})
}

// pages returns an export as curl would write it: pages that end with a cursor.
func (w *world) pages(access string) (text string) {
	w.t.Helper()
	for cursor := ""; ; {
		r, err := http.NewRequest("GET", w.server.URL+"/api/admin/users?limit=2"+cursor, nil)
		must(w.t, err)
		r.Header = http.Header{
			"Authorization": {"Bearer " + access}, "Accept": {"application/x-ndjson"},
			"User-Agent": {"curl/8"},
		}
		response, err := http.DefaultClient.Do(r)
		must(w.t, err)
		var page bytes.Buffer
		_, err = page.ReadFrom(response.Body)
		must(w.t, err)
		response.Body.Close()
		text += page.String()
		lines := strings.Split(strings.TrimSpace(page.String()), "\n")
		var last struct{ Next string }
		must(w.t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
		if last.Next == "" {
			return text
		}
		cursor = "&cursor=" + last.Next
	}
}

// A file that was collected page by page is an export, too, if no page is
// missing.
func TestRestore_pages(t *testing.T) {
	w, _, before := populated(t, redistest.Embedded(t))
	text := w.pages(w.token(w.admin))
	w.deleteAll()
	access := w.token(w.admin)
	whole, part := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "part")
	next := strings.Index(text, "\n"+`{"next"`) + 1
	cut := text[:next+strings.Index(text[next:], "\n")]
	write(t, whole, text)
	write(t, part, cut)
	w.run(access, part).fails("is not complete", "&cursor=")
	equal(t, "changed by a part", len(w.list(access)), 0)
	lines := strings.Count(cut, `{"user":`)
	if lines == 0 || lines >= 7 {
		t.Fatalf("the part has %d accounts", lines)
	}
	w.run(access, "-partial", part).succeeds(fmt.Sprintf("Restored %d,", lines))
	equal(t, "of the part", len(w.list(access)), lines)
	w.run(access, whole).succeeds("Restored 7")
	equal(t, "restored", w.list(access), before)
}

// A run that ends at any of its requests, before the API has got it or after it
// has made the change, is gone on with by the next run.
func TestRestore_interrupted(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	for name, late := range map[string]bool{"before the change": false, "after the change": true} {
		t.Run(name, func(t *testing.T) {
			for cut := int64(1); ; cut++ {
				w.deleteAll()
				access := w.token(w.admin)
				var got result
				w.during(func(rw http.ResponseWriter, r *http.Request, n int64) bool {
					if n == cut && late {
						(*w.handler.Load()).ServeHTTP(httptest.NewRecorder(), r)
					}
					return n >= cut && drop(rw)
				}, func() { got = w.run(access, file) })
				if got.err == nil {
					equal(t, "requests", cut, int64(1+1+7+4))
					break
				}
				got.fails("does not answer", "Run the same command again to go on")
				equal(t, "attempts", len(got.waited), maxAttempts-1)
				done := strings.Count(got.out, ": restored: ")
				w.during(nil, func() {
					w.run(access, file).succeeds(fmt.Sprintf(
						"Restored %d, skipped %d that were done before, refused 0, left 0", 7-done, done))
				})
				if most := int64(1 + 11); done > 0 && w.requests.Load() >= most {
					t.Errorf("after %d accounts, the next run sends %d requests", done, w.requests.Load())
				}
				equal(t, fmt.Sprintf("restored after request %d", cut), w.list(access), before)
				must(t, os.Remove(file+".progress"))
			}
			must(t, os.Remove(file+".progress"))
		})
	}
}

// A process that is killed at any of its requests is gone on with by the next.
func TestRestore_killed(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	for cut := int64(1); cut <= 13; cut++ {
		w.deleteAll()
		access := w.token(w.admin)
		command := exec.Command(os.Args[0], "-url", w.server.URL, file)
		command.Env = append(answers.Environment(), "BE_RESTORE=1")
		command.Stdin = strings.NewReader(access)
		var died error
		w.during(func(rw http.ResponseWriter, r *http.Request, n int64) bool {
			if n != cut {
				return false
			}
			if cut%2 == 0 {
				(*w.handler.Load()).ServeHTTP(httptest.NewRecorder(), r)
			}
			_ = command.Process.Kill()
			return drop(rw)
		}, func() { died = command.Run() })
		if cut <= 12 && (died == nil || command.ProcessState.Exited()) {
			t.Fatalf("request %d: the process ended with %v, and not by a signal", cut, died)
		}
		w.run(access, file).succeeds("7 accounts")
		equal(t, fmt.Sprintf("restored after request %d", cut), w.list(access), before)
		must(t, os.Remove(file+".progress"))
	}
}

// A line of the progress that was torn does not count.
func TestRestore_tornProgress(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	w.deleteAll()
	access := w.token(w.admin)
	w.run(access, file).succeeds("Restored 7")
	text := read(t, file+".progress")
	header := strings.Index(text, "\n")
	for cut := range len(text) {
		if 1 < cut && cut < header-1 {
			continue // each of these tears the first line
		}
		write(t, file+".progress", text[:cut])
		done := max(0, strings.Count(text[:cut], "\n")-1)
		w.run(access, file).succeeds(fmt.Sprintf("Restored %d, skipped %d that", 7-done, done))
		equal(t, "progress", read(t, file+".progress"), text)
	}
	equal(t, "restored", w.list(access), before)
}

// A changed export, another deployment and a damaged progress are refused
// before anything changes.
func TestRestore_otherProgress(t *testing.T) {
	w, file, _ := populated(t, redistest.Embedded(t))
	w.deleteAll()
	access := w.token(w.admin)
	text := read(t, file)
	w.during(func(rw http.ResponseWriter, _ *http.Request, n int64) bool {
		return n > 4 && drop(rw)
	}, func() { w.run(access, file).fails("does not answer") })
	progress := read(t, file+".progress")
	if !strings.Contains(progress, `"line"`) {
		t.Fatalf("nothing is done: %s", progress)
	}
	first, rest, _ := strings.Cut(progress, "\n")
	w.during(nil, func() {
		write(t, file, strings.Replace(text, `"sessions":0`, `"sessions":7`, 1))
		w.run(access, file).fails("the export has changed since " + file + ".progress was begun")
		write(t, file, text)
		runWith(t, access, "-url", "https://other.example.com", file).
			fails("is about", "https://other.example.com", "delete it")
		for _, damaged := range []string{
			"{\n" + rest, first + "\n{}\n", first + "\nline 3\n", first + "\n{\"line\":-1}\n",
		} {
			write(t, file+".progress", damaged)
			w.run(access, file).fails("is damaged: delete it")
		}
	})
	equal(t, "requests", w.requests.Load(), int64(0))
}

// A run that restored nothing binds the next to nothing: neither to a mistyped
// address nor to the file as it was.
func TestRestore_unusedProgress(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	access, text := w.token(w.admin), read(t, file)
	w.deleteAll()
	write(t, file, strings.Replace(text, `"sessions":0`, `"sessions":7`, 1))
	elsewhere := func(rw http.ResponseWriter, r *http.Request, _ int64) bool {
		http.NotFound(rw, r)
		return true
	}
	w.during(elsewhere, func() {
		runWith(t, access, "-url", w.server.URL+"/elsewhere", file).fails("Check -url")
	})
	if _, err := os.Stat(file + ".progress"); err != nil {
		t.Fatal(err)
	}
	write(t, file, text)
	access = w.token(w.admin)
	w.run(access, file).succeeds("Restored 7, ")
	equal(t, "restored", w.list(access), before)
}

// An answer that concerns every account ends the run with what to do, and the
// next run goes on.
func TestRestore_stops(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	for name, c := range map[string]struct {
		answer func(rw http.ResponseWriter, r *http.Request) bool
		says   []string
	}{
		"an expired token": {func(rw http.ResponseWriter, r *http.Request) bool {
			w.clock.Add((16 * time.Minute).Milliseconds())
			return false
		}, []string{"token_expired: ", "Sign in again, and run the same command again"}},
		"a login that is not fresh": {func(rw http.ResponseWriter, r *http.Request) bool {
			w.clock.Add((6 * time.Minute).Milliseconds())
			return false
		}, []string{"step_up_required: ", "Sign in again or step up"}},
		"a session that ended": {func(rw http.ResponseWriter, _ *http.Request) bool {
			return refuse(rw, 401, "session_ended")
		}, []string{"session_ended: ", "Sign in again"}},
		"a redirect": {func(rw http.ResponseWriter, r *http.Request) bool {
			http.Redirect(rw, r, w.server.URL+"/stolen", http.StatusTemporaryRedirect)
			return true
		}, []string{"redirect, which is not followed"}},
		"no such route": {func(rw http.ResponseWriter, _ *http.Request) bool {
			http.Error(rw, `{"message":"Not Found"}`, 404)
			return true
		}, []string{"answered 404 by something else than the API", "Check -url"}},
		"a blocked admin": {func(rw http.ResponseWriter, _ *http.Request) bool {
			return refuse(rw, 403, "account_blocked")
		}, []string{"403 account_blocked"}},
		"a defect": {func(rw http.ResponseWriter, _ *http.Request) bool {
			return refuse(rw, 500, "internal")
		}, []string{"500 internal"}},
		"another answer": {func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Write([]byte("<html>"))
			return true
		}, []string{"is not one of the API"}},
		"a long wait": {func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Retry-After", "3600")
			return refuse(rw, 429, "rate_limited")
		}, []string{"asks to wait 1h0m0s"}},
		"no end of waiting": {func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Retry-After", "20")
			return refuse(rw, 503, "unavailable")
		}, []string{"answers 503", "Run the same command again"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.deleteAll()
			access := w.token(w.admin)
			stolen := false
			w.during(func(rw http.ResponseWriter, r *http.Request, n int64) bool {
				if r.URL.Path == "/stolen" {
					stolen = true
					return refuse(rw, 404, "not_found")
				}
				return n >= 6 && r.Method == "PUT" && c.answer(rw, r)
			}, func() {
				got := w.run(access, file).fails(c.says...)
				got.fails("line ")
				if done := strings.Count(got.out, ": restored: "); done == 0 || done == 7 {
					t.Errorf("%d accounts were restored before", done)
				}
				if strings.Contains(got.all(), access) || stolen {
					t.Errorf("the token went elsewhere:\n%s", got.all())
				}
			})
			again := w.token(w.admin)
			w.run(again, file).succeeds("left 0 of 7")
			equal(t, "restored", w.list(again), before)
			must(t, os.Remove(file+".progress"))
		})
	}
}

// An API that is busy for a while is waited for, as long as it asks to.
func TestRestore_waits(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	w.deleteAll()
	access := w.token(w.admin)
	w.during(func(rw http.ResponseWriter, _ *http.Request, n int64) bool {
		switch n {
		case 2:
			rw.Header().Set("Retry-After", "7")
			return refuse(rw, 429, "rate_limited")
		case 4:
			rw.WriteHeader(429) // of API Gateway
			return true
		case 5:
			rw.Header().Set("Retry-After", "1")
			return refuse(rw, 503, "unavailable")
		case 6:
			rw.WriteHeader(504)
			return true
		case 8:
			return drop(rw)
		}
		return false
	}, func() {
		got := w.run(access, file).succeeds("Restored 7")
		equal(t, "waits", got.waited, []time.Duration{
			7 * time.Second, time.Second, 2 * time.Second, 4 * time.Second, time.Second,
		})
	})
	equal(t, "restored", w.list(access), before)
}

// A role that the configuration alone grants is not stored by a restore.
func TestRestore_configuredAdmin(t *testing.T) {
	w, file, _ := populated(t, redistest.Embedded(t))
	w.deleteAll()
	access := w.token(w.admin)
	w.run(access, file).succeeds("Restored 7")
	stored, err := w.store.Account(t.Context(), w.store.UserOf(w.admin.account))
	must(t, err)
	equal(t, "stored roles", stored.User.Roles, []string{"editor"})
}

// An account of the configuration cannot be blocked. The run reports that, and
// restores the others.
func TestRestore_blockedConfiguredAdmin(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	access, other := w.token(w.admin), newSigner(t).account
	w.block(access, other.String(), "now an admin")
	w.give(access, newSigner(t).account.String(), "editor")
	file := filepath.Join(t.TempDir(), "export")
	w.run(access, "-export", file).succeeds()
	w.deleteAll()
	w.cfg.Admins = append(w.cfg.Admins, other)
	w.build()
	access = w.token(w.admin)
	w.run(access, file).fails("refused: block: conflict: the configuration makes this address an admin",
		"conflict 1", "Restored 1,", "refused 1, left 0 of 2")
	stored, err := w.store.Account(t.Context(), w.store.UserOf(other))
	equal(t, "the admin", fmt.Sprint(stored.User.Roles, err), "[] "+session.ErrNotFound.Error())
}

// With another lookup key only accounts with a name can be restored, whether or
// not the caller is one of them.
func TestRestore_lostKey(t *testing.T) {
	for name, withCaller := range map[string]bool{"the caller": true, "others": false} {
		t.Run(name, func(t *testing.T) {
			w, file, before := populated(t, redistest.Embedded(t))
			own, text := w.store.UserOf(w.admin.account).String(), read(t, file)
			if !withCaller {
				start := strings.Index(text, `{"user":{"id":"`+own)
				text = text[:start] + text[start+strings.Index(text[start:], "\n")+1:]
				delete(before, own)
				write(t, file, text)
			}
			w.deleteAll()
			w.newKey()
			access := w.token(w.admin)
			for range 2 { // the second run knows it from the first
				w.run(access, file).fails("refused: user_id: the lookup key is not that of the export",
					fmt.Sprint("refused 2, left 0 of ", len(before)), "User ids differ", "user_id 2")
			}
			after := w.list(access)
			equal(t, "accounts", len(after), len(before)-2)
			for id, was := range before {
				if was[0] == nil {
					continue
				}
				reference, err := token.ParseReference(was[0].(string))
				must(t, err)
				equal(t, id, after[w.store.UserOf(reference.Account).String()], was)
			}
		})
	}
}

// The caller is restored last, and may lose its permissions by it.
func TestRestore_caller(t *testing.T) {
	r := redistest.Embedded(t)
	w := newWorld(t, r)
	helper := newSigner(t)
	access := w.token(w.admin)
	w.give(access, helper.account.String(), "editor") // the first line, in most exports
	w.block(access, helper.account.String(), "")
	var others []string
	for range 5 {
		others = append(others, newSigner(t).account.String())
		w.block(access, others[len(others)-1], "")
	}
	file := filepath.Join(t.TempDir(), "export")
	w.run(access, "-export", file).succeeds()
	w.deleteAll()
	w.give(w.token(w.admin), helper.account.String(), "admin")
	got := w.run(w.token(helper), file).fails(
		"refused: block: conflict: you cannot block your own account", "Restored 5, ", "refused 1, left 0 of 6")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if last := lines[len(lines)-2]; !strings.Contains(last, helper.account.String()) {
		t.Errorf("the last account is %s", last)
	}
	stored, err := w.store.Account(t.Context(), w.store.UserOf(helper.account))
	must(t, err)
	equal(t, "its roles", stored.User.Roles, []string{"editor"})
}

// The last admin stays one, and accounts above the caller stay as they are. The
// other accounts are restored.
func TestRestore_refusals(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	access := w.token(w.admin)
	boss, helper := newSigner(t), newSigner(t)
	plain, gone := newSigner(t).account.String(), newSigner(t).account.String()
	w.give(access, helper.account.String(), "helper")
	w.give(access, boss.account.String(), "helper")
	w.give(access, plain, "helper")
	w.give(access, gone, "editor", "helper")
	w.block(access, plain, "")
	file := filepath.Join(t.TempDir(), "export")
	w.run(access, "-export", file).succeeds()
	w.deleteAll()
	access = w.token(w.admin)
	w.give(access, boss.account.String(), "admin")
	w.give(access, helper.account.String(), "helper")
	w.cfg.Admins = nil
	delete(w.cfg.Roles, "editor")
	w.build()
	w.run(w.token(helper), file).fails(
		boss.account.String()+": refused: roles: forbidden: "+
			"only an admin can make an account an admin or change an admin (admin)",
		gone+`: refused: roles: invalid_request: roles: not configured: "editor"`,
		"Restored 2, ", "refused 2, left 0 of 4", "forbidden 1, invalid_request 1")
	w.run(w.token(boss), file).fails(
		"Restored 0, skipped 2 that were done before, refused 2,",
		boss.account.String()+": refused: roles: conflict: ", "conflict 1, invalid_request 1")
	stored, err := w.store.Account(t.Context(), w.store.UserOf(boss.account))
	must(t, err)
	equal(t, "roles of the last admin", stored.User.Roles, []string{"admin"})
	// Once the role is configured again, the same command restores the rest.
	w.cfg.Roles["editor"] = api.Role{Permissions: []string{"posts:write"}}
	w.build()
	w.run(w.token(boss), file).fails(gone+": restored: roles editor,helper", "Restored 1, skipped 2 that")
}
