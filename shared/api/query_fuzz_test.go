package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
)

// FuzzPage holds that a page is a part of the list, no longer than a limit that is written as a number is, and begins
// behind its cursor; and that cursors lead through the rest to its end.
func FuzzPage(f *testing.F) {
	for _, query := range []string{
		"", "limit=1", "limit=100&cursor=7", "limit=0", "limit=101", "limit=01", "limit=%2B1", "limit=", "cursor=", "cursor=none",
		"limit=99&limit=1", "cursor=249", "limit=-1", "limit=1e1", "limit=3%30&cursor=%32",
	} {
		f.Add(query)
	}
	names := make([]string, 250)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	f.Fuzz(func(t *testing.T, query string) {
		shown, next, err := api.Page(query, names)
		if err != nil {
			if api.Code(err) != "invalid_request" || shown != nil || next != "" {
				t.Errorf("%q: %q, %q, %v", query, shown, next, err)
			}
			return
		}
		values, _ := url.ParseQuery(query)
		limit, from := 50, slices.Index(names, values.Get("cursor"))+1
		if values.Has("limit") {
			limit, err = strconv.Atoi(values.Get("limit"))
			must(t, err)
		}
		if limit < 1 || limit > 100 || values.Has("limit") && values.Get("limit") != strconv.Itoa(limit) || values.Has("cursor") && from == 0 {
			t.Fatalf("%q is taken", query)
		}
		rest := shown
		for next != "" {
			var more []string
			more, next, err = api.Page("limit=100&cursor="+next, names)
			must(t, err)
			rest = append(rest, more...)
		}
		if len(shown) > limit || !slices.Equal(rest, names[from:]) {
			t.Errorf("%q shows %q, and on the way to the end %d of %d", query, shown, len(rest), len(names)-from)
		}
	})
}

// FuzzLifetime holds that a lifetime is the whole seconds that are written, and none where nothing is.
func FuzzLifetime(f *testing.F) {
	for _, query := range []string{
		"", "ttl=1", "ttl=999999999", "ttl=0", "ttl=1000000000", "ttl=", "ttl=1.5", "ttl=%2060", "ttl=+1", "ttl=01", "ttl=9&ttl=8", "TTL=1",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		life, err := api.Lifetime(query)
		values, _ := url.ParseQuery(query)
		switch {
		case err != nil:
			if api.Code(err) != "invalid_request" || life != 0 || !values.Has("ttl") {
				t.Errorf("%q is %v, %v", query, life, err)
			}
		case !values.Has("ttl"):
			if life != 0 {
				t.Errorf("%q is %v", query, life)
			}
		case life < time.Second || life > 999999999*time.Second || strconv.Itoa(int(life/time.Second)) != values.Get("ttl"):
			t.Errorf("%q is %v", query, life)
		}
	})
}

// FuzzPathValues holds that a key of state and a session's id are read as they stand in the path, or refused; and that the
// audit log gets to see of an id no more than is printable and no token.
func FuzzPathValues(f *testing.F) {
	for _, path := range []string{
		"form", "a.b_c-D9", ".", "..", "", strings.Repeat("k", 64), strings.Repeat("k", 65), "a/b", "a b", "k\n", "é",
		"lka_" + strings.Repeat("A", 22), strings.Repeat("A", 43), strings.Repeat("A", 42) + "B", "\u202e" + strings.Repeat("x", 300),
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		plain := func(r rune) bool {
			return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._-", r)
		}
		fits := path != "" && len(path) <= session.MaxStateKey && !strings.ContainsFunc(path, func(r rune) bool { return !plain(r) })
		key, err := api.StateKey(path)
		if fits && (err != nil || key != path) || !fits && (api.Code(err) != "invalid_request" || key != "") {
			t.Errorf("the key %q is %q, %v", path, key, err)
		}
		id, target, err := api.SessionID(path)
		if err == nil && (id.String() != path || target != path) || err != nil && (api.Code(err) != "not_found" || id != (token.ID{})) {
			t.Errorf("the id %q is %v, logged as %q, %v", path, id, target, err)
		}
		if len(target) > 256 || strings.ContainsFunc(target, func(r rune) bool { return r < ' ' || r > '~' }) || token.ContainedIn(target) {
			t.Errorf("the id %q is logged as %q", path, target)
		}
	})
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{1,128}$`)

// FuzzRequestID holds that a request is named as the gateway names it where that fits into a header and a log, and by a
// new name where it does not.
func FuzzRequestID(f *testing.F) {
	for _, id := range []string{
		"JKJaXmPLvHcESHA=", "5f5a9a5e-0000-4000-8000-000000000000", "", "a\r\nSet-Cookie: x", strings.Repeat("x", 129), "a b", "x\n",
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		got := api.RequestID(id)
		if !plainID.MatchString(got) || (got == id) != plainID.MatchString(id) {
			t.Errorf("%q is named %q", id, got)
		}
		if got != id && got == api.RequestID(id) {
			t.Errorf("%q is named %q twice", id, got)
		}
	})
}

// FuzzNonceQuery holds that whatever a nonce is asked for, a message that is offered is one that the policy accepts, for
// the address and the chain that were asked for; and that everything else is refused as a bad request or, for a step-up,
// as nobody's.
func FuzzNonceQuery(f *testing.F) {
	const someone = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	f.Add("transport=bearer&address="+someone+"&chainId=8453", origin)
	f.Add("transport=cookie&purpose=login", "https://admin.example.com")
	f.Add("purpose=step_up", "")
	f.Add("purpose=", "http://app.example.com")
	f.Add("address="+strings.ToLower(someone)+"&chainId=01", "")
	f.Add("address="+strings.ToLower(someone)+"&chainId=1&transport=bearer", "null")
	f.Add("address=0x0&chainId=1&chainId=1", "")
	f.Add("nonce=x", "")
	f.Add("transport=%", "")
	w := newWorld(f, redistest.Embedded(f))
	nonce := api.New(w.cfg, w.store, discard(), w.clock.now).Nonce()
	policy := siwe.Policy{Domains: w.cfg.Domains, ChainIDs: w.cfg.ChainIDs, Statement: w.cfg.Statement, MaxAge: time.Minute, MaxAhead: time.Minute}
	f.Fuzz(func(t *testing.T, query, from string) {
		r := request("GET", "/auth/nonce", "")
		r.URL.RawQuery = query
		r.Header.Set("Origin", from)
		got := serve(t, nonce, r)
		values, err := url.ParseQuery(query)
		if got.status != 200 {
			if got.code() != "invalid_request" && !(got.code() == "no_credentials" && values.Get("purpose") == "step_up") {
				t.Errorf("%q: answered %d %s", query, got.status, got.body)
			}
			return
		}
		for name, all := range values {
			if !slices.Contains([]string{"transport", "purpose", "address", "chainId"}, name) || len(all) > 1 {
				t.Errorf("%q is taken", query)
			}
		}
		text := got.text("message")
		if whole := values.Get("address") != "" && values.Get("chainId") != ""; err != nil || whole != (text != "") {
			t.Fatalf("%q is answered with the message %q, %v", query, text, err)
		}
		if text == "" {
			return
		}
		m, err := siwe.Parse([]byte(text))
		must(t, err)
		if err := policy.Check(m, w.clock.now()); err != nil || m.Nonce != got.text("nonce") {
			t.Errorf("%q is offered %q: %v", query, text, err)
		}
		if !strings.EqualFold(m.Address.Hex(), values.Get("address")) || strconv.FormatUint(m.ChainID, 10) != values.Get("chainId") ||
			from != "https://"+m.Domain && m.Domain != w.cfg.Domains[0] {
			t.Errorf("%q from %q is offered %q", query, from, text)
		}
	})
}

// FuzzPreLogin holds that a browser keeps a pre-login cookie that is one of ours by its form, and gets a new one in the place
// of every other; nobody chooses what its nonces are bound to but by that form.
func FuzzPreLogin(f *testing.F) {
	for _, n := range []int{0, 31, 32, 33} {
		f.Add(strings.Repeat("A", n))
	}
	for _, value := range []string{strings.Repeat("A", 31) + "=", strings.Repeat("-_", 16), "x y"} {
		f.Add(value)
	}
	ours := regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)
	w := newWorld(f, redistest.Embedded(f))
	nonce := api.New(w.cfg, w.store, discard(), w.clock.now).Nonce()
	f.Fuzz(func(t *testing.T, value string) {
		r := request("GET", "/auth/nonce", "")
		r.Header = http.Header{"Cookie": {"__Host-prelogin=" + value}}
		got := serve(t, nonce, r)
		if got.status != 200 {
			if !strings.Contains(value, "__Host-prelogin") || got.code() != "invalid_request" {
				t.Errorf("%q: answered %d %s", value, got.status, got.body)
			}
			return
		}
		set := got.cookies()["__Host-prelogin"]
		if keeps := ours.MatchString(value); set == nil || !ours.MatchString(set.Value) ||
			(set.Value == value) != keeps && !strings.ContainsAny(value, "; \t") {
			t.Errorf("%q is answered with %v", value, set)
		}
	})
}

// FuzzDeviceName holds that a device's name is well-formed text of 64 bytes that shows something: no control, no mark that turns what
// a terminal shows.
func FuzzDeviceName(f *testing.F) {
	for _, name := range []string{
		"Alice's laptop", "", "\U0001F469\u200d\U0001F4BB laptop", "\u3164", " ", "a\u200d", "\ufe0f", "\u202egnp.exe", "a\nb", "\u200b", "caf\u00e9 \U0001F4F1", strings.Repeat("x", 64), strings.Repeat("x", 65), "\ufffd",
	} {
		body, err := json.Marshal(map[string]string{"name": name})
		must(f, err)
		f.Add(string(body))
	}
	f.Add(`{"name":"\ud800"}`)
	f.Add(`{"name":"a","name":"b"}`)
	f.Fuzz(func(t *testing.T, body string) {
		name, err := api.DeviceName(body)
		if err != nil {
			if api.Code(err) != "invalid_request" {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		joins := func(r rune) bool { return r == '\u200c' || r == '\u200d' }
		hidden := func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && !joins(r) || r == utf8.RuneError
		}
		bare := strings.Trim(name, "\u200c\u200d\u3164\u115f\u1160\uffa0\u2800\ufe0f")
		if strings.TrimSpace(bare) == "" || strings.TrimFunc(name, joins) != name {
			t.Errorf("%q names a device %q, which shows nothing or joins it to what is beside it", body, name)
		}
		if len(name) > 64 || !utf8.ValidString(name) || strings.ContainsFunc(name, hidden) {
			t.Errorf("%q names a device %q", body, name)
		}
	})
}

// FuzzSetRoles holds that roles which are set are configured ones, in order and each once, without the one of all; and that
// a list of strings is the one that any decoder reads.
func FuzzSetRoles(f *testing.F) {
	for _, body := range []string{
		`{"list":["editor","admin","user"]}`, `{"list":[]}`, `{"list":["editor","editor"]}`, `{"list":["nobody"]}`, `{"list":["user","user"]}`,
		`{"list":["Editor"]}`, `{"list":null}`, `{"list":[["editor"]]}`, `{"list":["edit\u006fr"],"list":[]}`, `{"list":["editor"]`,
	} {
		f.Add(body)
	}
	w := newWorld(f, redistest.Embedded(f), func(w *world) {
		w.cfg.Roles = map[string]api.Role{"editor": {}, "auditor": {}}
	})
	f.Fuzz(func(t *testing.T, body string) {
		list, err := api.List(body)
		if err != nil {
			if api.Code(err) != "invalid_request" {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		var decoded struct{ List []string }
		if err := json.Unmarshal([]byte(body), &decoded); err != nil || !slices.Equal(decoded.List, list) {
			t.Errorf("%q is the list %q, and to others %q, %v", body, list, decoded.List, err)
		}
		roles, err := w.api.Settable(list)
		if err != nil {
			if api.Code(err) != "invalid_request" || roles != nil {
				t.Errorf("%q: %q, %v", list, roles, err)
			}
			return
		}
		for i, role := range roles {
			if !slices.Contains([]string{"admin", "auditor", "editor"}, role) || !slices.Contains(list, role) || i > 0 && roles[i-1] >= role {
				t.Errorf("%q sets %q", list, roles)
			}
		}
		if dropped := slices.Contains(list, "user"); len(roles) != len(list) && (!dropped || len(roles) != len(list)-1) {
			t.Errorf("%q sets %q", list, roles)
		}
	})
}
