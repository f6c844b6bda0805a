package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

const preferencesPath = "/api/preferences"

// patch changes preferences with that If-Match; "" sends none.
func (c *client) patch(body any, match string, changes ...change) answer {
	c.w.t.Helper()
	changes = append(c.credential(), changes...)
	if match != "" {
		changes = append(changes, with("If-Match", match))
	}
	return c.send("PATCH", preferencesPath, body, changes...)
}

// own sends a request with the client's credential.
func (c *client) own(method, path string, body any, changes ...change) answer {
	c.w.t.Helper()
	return c.send(method, path, body, append(c.credential(), changes...)...)
}

// signedIn is a client of each transport, on each engine, with a session.
func signedIn(t *testing.T, test func(t *testing.T, c *client)) {
	t.Helper()
	clients(t, func(t *testing.T, c *client) {
		c.signIn(newAccount(t))
		test(t, c)
	})
}

func (a answer) etag() string { return a.header.Get("ETag") }

func TestPreferences_story(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		got := c.own("GET", preferencesPath, nil).wants(200, "")
		if got.body != `{}` || got.etag() != `"0"` {
			t.Errorf("before the first change %s, %s", got.body, got.etag())
		}
		first := c.patch(map[string]any{"theme": "dark", "sizes": map[string]int{"font": 12, "line": 2}}, got.etag()).wants(200, "")
		equal(t, "patched", first.body, `{"sizes":{"font":12,"line":2},"theme":"dark"}`)
		second := c.patch(`{"sizes":{"line":null},"n":12345678901234567890}`, first.etag(), with("Content-Type", "application/merge-patch+json")).wants(200, "")
		equal(t, "patched again", second.body, `{"n":12345678901234567890,"sizes":{"font":12},"theme":"dark"}`)
		read := c.own("GET", preferencesPath, nil).wants(200, "")
		if read.body != second.body || read.etag() != second.etag() || first.etag() == second.etag() || first.etag() == got.etag() {
			t.Errorf("read %s %s, changed to %s %s", read.body, read.etag(), second.body, second.etag())
		}
		if profile := c.profile().wants(200, ""); profile.text("preferences", "theme") != "dark" {
			t.Errorf("the profile is %s", profile.body)
		}
		empty := c.patch(`{"n":null,"sizes":null,"theme":null}`, "*").wants(200, "")
		if empty.body != `{}` || empty.etag() != `"0"` {
			t.Errorf("emptied they are %s, %s", empty.body, empty.etag())
		}
	})
}

// Preferences survive logout and expiry.
func TestPreferences_survive(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		c.signIn(alice)
		set := c.patch(`{"theme":"dark"}`, "*").wants(200, "")
		c.logout(nil).wants(204, "")
		c.signIn(alice)
		if got := c.own("GET", preferencesPath, nil).wants(200, ""); got.body != set.body || got.etag() != set.etag() {
			t.Errorf("after a logout %s", got.body)
		}
		c.w.clock.add(31 * time.Minute)
		c.own("GET", preferencesPath, nil).wants(401, "session_ended")
		c.signIn(alice)
		if got := c.own("GET", preferencesPath, nil).wants(200, ""); got.body != set.body {
			t.Errorf("after expiry %s", got.body)
		}
		c.signIn(newAccount(t))
		equal(t, "another account's", c.own("GET", preferencesPath, nil).body, `{}`)
	})
}

// Preferences that have expired are {}, with the ETag of none: what was read before does not match, and they can be changed
// again. The session and its profile go on.
func TestPreferences_expired(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		old := c.patch(`{"theme":"dark"}`, "*").wants(200, "").etag()
		keys := c.w.redis.Keys(t, c.w.redis.Prefix+":{???}:p*")
		if len(keys) != 1 {
			t.Fatalf("preferences are stored as %q", keys)
		}
		if ttl := c.w.redis.Client().PTTL(t.Context(), keys[0]).Val(); ttl <= 0 {
			t.Errorf("they are kept for %v", ttl)
		}
		if err := c.w.redis.Client().Unlink(t.Context(), keys[0]).Err(); err != nil {
			t.Fatal(err)
		}
		got := c.own("GET", preferencesPath, nil).wants(200, "")
		if got.body != `{}` || got.etag() != `"0"` {
			t.Errorf("they are %s, %s", got.body, got.etag())
		}
		if profile := c.profile().wants(200, ""); !strings.Contains(profile.body, `"preferences":{}`) {
			t.Errorf("the profile is %s", profile.body)
		}
		c.patch(`{"theme":null}`, old).wants(412, "precondition_failed")
		equal(t, "nothing taken away", c.patch(`{"theme":null}`, got.etag()).wants(200, "").body, `{}`)
		set := c.patch(`{"theme":"light"}`, got.etag()).wants(200, "")
		equal(t, "changed again", set.body, `{"theme":"light"}`)
		if set.etag() == old || set.etag() == got.etag() {
			t.Errorf("the ETag %s is not new", set.etag())
		}
		c.patch(`{"theme":"dark"}`, old).wants(412, "precondition_failed")
	})
}

func TestPreferences_conditions(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		c.patch(`{"a":1}`, "").wants(428, "precondition_required")
		old := c.patch(`{"a":1}`, `"0"`).wants(200, "").etag()
		now := c.patch(`{"a":2}`, old).wants(200, "").etag()
		for _, stale := range []string{
			old, `"0"`, "W/" + now, `""`, `"*"`, `"unknown"`, old + ", W/" + now, `"` + strings.ToUpper(strings.Trim(now, `"`)) + `F"`, `"a,b"`, "W/" + old + ",W/" + old, `"é"`,
		} {
			got := c.patch(`{"a":3}`, stale).wants(412, "precondition_failed")
			if got.etag() != "" {
				t.Errorf("%s: a refusal tells %s", stale, got.etag())
			}
		}
		for _, bad := range []string{"x", strings.Trim(now, `"`), `"open`, now + " " + now, "*, " + now, "*,*", "w/" + now, now + "x", ",", `"a b"`, "W/ " + now} {
			c.patch(`{"a":3}`, bad).wants(400, badRequest)
		}
		c.patch(`{"a":3}`, "*", with("If-None-Match", "*")).wants(400, badRequest)
		equal(t, "after refusals", c.own("GET", preferencesPath, nil).body, `{"a":2}`)
		for _, good := range []string{now, old + ", " + now, `"a,b",` + now, "W/" + now + "," + now, " " + now + " ,", "*"} {
			got := c.patch(`{"a":2}`, good).wants(200, "")
			equal(t, "an unchanged version", got.etag(), now)
		}
		// The adapter in front of a Lambda splits a header at its commas.
		c.patch(`{"a":4}`, old, more("If-Match", now)).wants(412, "precondition_failed")
		c.send("PATCH", preferencesPath, `{"a":4}`, append(c.credential(), with("If-Match", old), more("If-Match", now))...).wants(200, "")
	})
}

// What a patch may not be, and that nothing of it is stored.
func TestPreferences_malformed(t *testing.T) { // attack case 22
	signedIn(t, func(t *testing.T, c *client) {
		set := c.patch(`{"kept":true}`, "*").wants(200, "")
		for _, body := range append([]string{`[1]`, `null`, `"text"`, `1`, `[{"op":"add","path":"/a","value":1}]`}, refusedValues...) {
			c.patch(body, "*").wants(400, badRequest)
		}
		c.patch(nil, "*", with("Content-Type", "application/json")).wants(400, badRequest)
		for _, kind := range []string{"", "text/plain", "application/json-patch+json", "application/merge-patch+json, text/plain", "application/merge-patch+json; charset=latin1", "application/x-www-form-urlencoded"} {
			c.patch(`{"a":1}`, "*", with("Content-Type", kind)).wants(415, "unsupported_media_type")
		}
		c.send("PATCH", preferencesPath+"?a=b", `{"a":1}`, append(c.credential(), with("If-Match", "*"))...).wants(400, badRequest)
		c.own("GET", preferencesPath+"?a=b", nil).wants(400, badRequest)
		if got := c.own("GET", preferencesPath, nil); got.body != set.body || got.etag() != set.etag() {
			t.Errorf("now they are %s", got.body)
		}
	})
}

func TestPreferences_tooLarge(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		half := strings.Repeat("<", 4000)
		set := c.patch(`{"a":"`+half+`"}`, "*").wants(200, "")
		body := func(n int) string { return `{"b":"` + strings.Repeat("x", n) + `"}` }
		// {"a":"…4000…","b":"…"} has 15 bytes beside the two texts.
		c.patch(body(8192-4000-15+1), "*").wants(413, "too_large")
		c.patch(body(17<<10), "*").wants(413, "too_large")
		if got := c.own("GET", preferencesPath, nil); got.etag() != set.etag() {
			t.Errorf("a refused change changed something: %.80s", got.body)
		}
		c.patch(body(8192-4000-15), "*").wants(200, "")
		c.patch(`{"a":null,"b":null}`, "*").wants(200, "")
	})
}

// Two conditional writes at once: one is done, one is 412. With * both are done, one after the other.
func TestPreferences_race(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		version := c.patch(`{"n":0}`, "*").wants(200, "").etag()
		statuses := func(n int, match string) map[int]int {
			var mu sync.Mutex
			found := map[int]int{}
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					got := c.patch(fmt.Sprintf(`{"key%d":%d}`, i, i), match)
					mu.Lock()
					defer mu.Unlock()
					found[got.status]++
				})
			}
			all.Wait()
			return found
		}
		if got := statuses(6, version); got[200] != 1 || got[412] != 5 {
			t.Errorf("answered %v", got)
		}
		if got := statuses(3, "*"); got[200] != 3 {
			t.Errorf("with * answered %v", got)
		}
		object := c.own("GET", preferencesPath, nil).object()
		for i := range 3 {
			if object[fmt.Sprint("key", i)] != float64(i) {
				t.Errorf("of three changes with * there is %v", object)
			}
		}
	})
}

// An erased or ended session writes nothing, and what other origins send is refused.
func TestData_guarded(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		b := w.browser()
		b.signIn(newAccount(t))
		b.patch(`{"a":1}`, "*", with("Origin", "https://evil.example")).wants(403, "origin_not_allowed")
		b.own("PUT", "/api/state/k", "1", with("Origin", "https://evil.example")).wants(403, "origin_not_allowed")
		b.own("DELETE", "/api/state/k", nil, without("Origin"), without("Sec-Fetch-Site")).wants(403, "origin_not_allowed")
		b.own("PUT", "/api/state/k", "1").wants(204, "")
		c := w.script()
		for _, route := range []struct{ method, path string }{
			{"GET", preferencesPath}, {"PATCH", preferencesPath}, {"GET", "/api/state"}, {"GET", "/api/state/k"}, {"PUT", "/api/state/k"}, {"DELETE", "/api/state/k"},
		} {
			var body any
			if route.method == "PATCH" || route.method == "PUT" {
				body = `{}`
			}
			c.send(route.method, route.path, body, with("If-Match", "*")).wants(401, "no_credentials")
		}
		c.signIn(newAccount(t))
		text := c.access
		c.logout(nil).wants(204, "")
		c.send("PATCH", preferencesPath, `{"a":1}`, bearer(text), with("If-Match", "*")).wants(401, "session_ended")
		c.send("PUT", "/api/state/k", `1`, bearer(text)).wants(401, "session_ended")
	})
}

func TestState_story(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		got := c.own("GET", "/api/state", nil).wants(200, "")
		equal(t, "an empty state", got.body, `{"keys":[],"used":0,"quota":16384}`)
		c.own("GET", "/api/state/form", nil).wants(404, "not_found")
		for _, value := range []string{`{"step":1,"n":12345678901234567890}`, `null`, `false`, `0.10`, `"text"`, `[]`, `{"a":{"b":[null]}}`} {
			put := c.own("PUT", "/api/state/form", value).wants(204, "")
			read := c.own("GET", "/api/state/form", nil).wants(200, "")
			if read.body != value || read.etag() != put.etag() || put.etag() == "" || put.body != "" || read.header.Get("Content-Type") != "application/json" {
				t.Errorf("put %s %s, read %s %s", value, put.etag(), read.body, read.etag())
			}
		}
		c.own("PUT", "/api/state/A.b_c-9?ttl=60", ` [1, 2] `).wants(204, "")
		list := c.own("GET", "/api/state", nil).wants(200, "")
		equal(t, "the list", list.body, fmt.Sprintf(
			`{"keys":[{"key":"A.b_c-9","size":5,"expiresAt":%q},{"key":"form","size":18,"expiresAt":%q}],"used":34,"quota":16384}`,
			stamp(c.w.clock.now().Add(time.Minute)), stamp(c.w.clock.now().Add(12*time.Hour))))
		c.w.clock.add(time.Minute)
		c.own("GET", "/api/state/A.b_c-9", nil).wants(404, "not_found")
		if deleted := c.own("DELETE", "/api/state/form", nil).wants(204, ""); deleted.body != "" {
			t.Errorf("answered %s", deleted.body)
		}
		c.own("DELETE", "/api/state/form", nil).wants(404, "not_found")
		c.own("GET", "/api/state/form", nil).wants(404, "not_found")
	})
}

// State dies with its session, and is no other session's.
func TestState_diesWithItsSession(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		c.signIn(alice)
		c.own("PUT", "/api/state/form", `1`).wants(204, "")
		other := c.w.script()
		other.signIn(alice)
		other.own("GET", "/api/state/form", nil).wants(404, "not_found")
		c.renew().wants(200, "")
		c.own("GET", "/api/state/form", nil).wants(200, "")
		c.logout(nil).wants(204, "")
		c.signIn(alice)
		c.own("GET", "/api/state/form", nil).wants(404, "not_found")
		equal(t, "the state", c.own("GET", "/api/state", nil).wants(200, "").at("used"), 0.0)
	})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func TestState_conditions(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		path := "/api/state/form"
		c.own("PUT", path, `1`, with("If-Match", "*")).wants(412, "precondition_failed")
		old := c.own("PUT", path, `1`, with("If-None-Match", "*")).wants(204, "").etag()
		c.own("PUT", path, `2`, with("If-None-Match", "*")).wants(412, "precondition_failed")
		now := c.own("PUT", path, `2`, with("If-Match", old)).wants(204, "").etag()
		c.own("PUT", path, `3`, with("If-Match", old)).wants(412, "precondition_failed")
		c.own("PUT", path, `3`, with("If-Match", "W/"+now)).wants(412, "precondition_failed")
		c.own("PUT", path, `3`, with("If-Match", `"*"`)).wants(412, "precondition_failed")
		c.own("DELETE", path, nil, with("If-Match", old)).wants(412, "precondition_failed")
		c.own("DELETE", path, nil, with("If-None-Match", "*")).wants(412, "precondition_failed")
		for _, bad := range []change{with("If-Match", "x"), with("If-None-Match", now), with("If-None-Match", "")} {
			c.own("PUT", path, `3`, bad).wants(400, badRequest)
			c.own("DELETE", path, nil, bad).wants(400, badRequest)
		}
		equal(t, "after refusals", c.own("GET", path, nil).body, `2`)
		c.own("PUT", path, `3`, with("If-Match", old+", "+now)).wants(204, "")
		c.own("DELETE", path, nil, with("If-Match", "*")).wants(204, "")
		c.own("DELETE", path, nil, with("If-Match", "*")).wants(404, "not_found")
	})
}

// Two conditional writes at once: one 204, one 412.
func TestState_race(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		version := c.own("PUT", "/api/state/form", `0`).wants(204, "").etag()
		var mu sync.Mutex
		found := map[int]int{}
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				got := c.own("PUT", "/api/state/form", fmt.Sprint(i), with("If-Match", version))
				mu.Lock()
				defer mu.Unlock()
				found[got.status]++
			})
		}
		all.Wait()
		if found[204] != 1 || found[412] != 3 {
			t.Errorf("answered %v", found)
		}
	})
}

func TestState_malformed(t *testing.T) { // attack case 22
	signedIn(t, func(t *testing.T, c *client) {
		for _, key := range []string{"a%20b", "%C3%A9", strings.Repeat("k", 65), "a:b", "a%00", "a%0A", "a*b", "lka_x%2B"} {
			c.own("PUT", "/api/state/"+key, `1`).wants(400, badRequest)
			c.own("GET", "/api/state/"+key, nil).wants(400, badRequest)
			c.own("DELETE", "/api/state/"+key, nil).wants(400, badRequest)
		}
		for _, query := range []string{"ttl=0", "ttl=-1", "ttl=01", "ttl=1.5", "ttl=1s", "ttl=", "ttl=1&ttl=1", "ttl=1&x=1", "TTL=1", "ttl=9999999999", "ttl=%2B1", "ttl= 1"} {
			c.own("PUT", "/api/state/k?"+strings.ReplaceAll(query, " ", "%20"), `1`).wants(400, badRequest)
		}
		c.own("GET", "/api/state?limit=0", nil).wants(400, badRequest)
		c.own("GET", "/api/state/k?ttl=1", nil).wants(400, badRequest)
		c.own("DELETE", "/api/state/k?ttl=1", nil).wants(400, badRequest)
		for _, body := range refusedValues {
			c.own("PUT", "/api/state/k", body).wants(400, badRequest)
		}
		c.own("PUT", "/api/state/k", nil, with("Content-Type", "application/json")).wants(400, badRequest)
		for _, kind := range []string{"", "text/plain", "application/merge-patch+json"} {
			c.own("PUT", "/api/state/k", `1`, with("Content-Type", kind)).wants(415, "unsupported_media_type")
		}
		c.own("PUT", "/api/state/k", `1`, with("Content-Encoding", "gzip")).wants(415, "unsupported_media_type")
		c.own("DELETE", "/api/state/k", `{}`).wants(400, badRequest)
		c.own("DELETE", "/api/state/k", ` `).wants(400, badRequest)
		equal(t, "used after refusals", c.own("GET", "/api/state", nil).at("used"), 0.0)
		c.own("PUT", "/api/state/"+strings.Repeat("k", 64)+"?ttl=999999999", `1`).wants(204, "")
	})
}

// Over quota is 413 and changes nothing.
func TestState_quota(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(w *world) { w.opts.StateQuota = 1000 })
		c := w.script()
		c.signIn(newAccount(t))
		text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
		put := c.own("PUT", "/api/state/big", text(900)).wants(204, "")
		before := w.dump(t)
		c.own("PUT", "/api/state/other", text(100)).wants(413, "too_large")
		c.own("PUT", "/api/state/big", text(998)).wants(413, "too_large")
		c.own("PUT", "/api/state/other", text(17<<10)).wants(413, "too_large")
		for key, value := range w.dump(t) {
			if before[key] != value {
				t.Errorf("%q changed", key)
			}
		}
		if got := c.own("GET", "/api/state/big", nil).wants(200, ""); got.etag() != put.etag() {
			t.Error("a refused write changed a key")
		}
		c.own("PUT", "/api/state/big", text(997)).wants(204, "")
		equal(t, "used", c.own("GET", "/api/state", nil).at("used"), 1000.0)
	})
}

func TestState_manyKeys(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c := w.script()
		c.signIn(newAccount(t))
		for i := range session.MaxStateKeys {
			c.own("PUT", fmt.Sprint("/api/state/k", i), `1`).wants(204, "")
		}
		c.own("PUT", "/api/state/more", `1`).wants(413, "too_large")
		c.own("PUT", "/api/state/k7", `2`).wants(204, "")
	})
}

// Nothing of it stands in Redis or in the log, names of keys neither.
func TestData_nothingToRead(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		c.patch(`{"preferred-colour":"ultramarine"}`, "*").wants(200, "")
		c.own("PUT", "/api/state/insurance-form", `{"diagnosis":"secret-illness"}`).wants(204, "")
		c.own("PUT", "/api/state/insurance-form", `{"diagnosis":"secret-illness"`).wants(400, badRequest)
		var stored strings.Builder
		for key, value := range c.w.dump(t) {
			stored.WriteString(key + value)
		}
		for _, hidden := range []string{"preferred-colour", "ultramarine", "insurance-form", "diagnosis", "secret-illness"} {
			for name, place := range map[string]string{"Redis": stored.String(), "the log": c.w.log.text()} {
				for spelling, text := range spellings([]byte(hidden)) {
					if strings.Contains(place, string(text)) {
						t.Errorf("%s holds %q (%s)", name, hidden, spelling)
					}
				}
			}
		}
	})
}

// What is stored as JSON is sent as JSON that means the same, whatever is in it, and never as a page.
func TestState_text(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	c.own("PUT", "/api/state/k", `"</script>\u2028&\ud83d\ude00"`).wants(204, "")
	got := c.own("GET", "/api/state/k", nil).wants(200, "")
	var text string
	must(t, json.Unmarshal([]byte(got.body), &text))
	equal(t, "the text", text, "</script>\u2028&😀")
	equal(t, "nosniff", got.header.Get("X-Content-Type-Options"), "nosniff")
}

// What is stored beside a record and does not open is our defect, on the routes that need it and on no others.
func TestData_faults(t *testing.T) {
	signedIn(t, func(t *testing.T, c *client) {
		c.own("PUT", "/api/state/k", `1`).wants(204, "")
		c.patch(`{"a":1}`, "*").wants(200, "")
		c.w.damage("d")
		for _, path := range []string{"/api/state/k", "/api/state"} {
			c.w.defect(attempt{"GET " + path, func() answer { return c.own("GET", path, nil) }})
		}
		c.own("GET", preferencesPath, nil).wants(200, "")
		c.w.damage("p")
		for _, path := range []string{preferencesPath, "/api/profile"} {
			c.w.defect(attempt{"GET " + path, func() answer { return c.own("GET", path, nil) }})
		}
		c.w.defect(attempt{"PATCH", func() answer { return c.patch(`{"a":1}`, "*") }})
		c.own("GET", "/api/sessions", nil).wants(200, "")
		c.renew().wants(200, "")
		c.logout(nil).wants(204, "")
	})
}
