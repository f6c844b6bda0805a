package api_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// lines are the values of a header that was sent so often; none for an empty text.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// FuzzConditions holds that an accepted If-Match is a star or names versions that stand in it, weak ones and strangers'
// as none, that it makes no difference where a list is split, and that of If-None-Match the star alone has a meaning.
func FuzzConditions(f *testing.F) {
	f.Add(`"a1"`, "")
	f.Add(`W/"a1", "b2" ,"",`+"\n"+`"c\xc3\xa9"`, "*")
	f.Add(" * ", " *\t")
	f.Add("*,*", "")
	f.Add(`"a1`, `"a1"`)
	f.Add(`"a1""b2"`, "")
	f.Add("\"a\x7f\"", "")
	f.Fuzz(func(t *testing.T, match, none string) {
		header := http.Header{"If-Match": lines(match), "If-None-Match": lines(none)}
		got, err := api.Conditions(header)
		if err != nil {
			if api.Code(err) != "invalid_request" || got.Absent || got.Versions != nil {
				t.Errorf("%q, %q: %+v, %v", match, none, got, err)
			}
			return
		}
		if got.Absent != (strings.TrimSpace(strings.Join(lines(none), ",")) == "*") || none != "" && !got.Absent {
			t.Errorf("If-None-Match %q is %v", none, got.Absent)
		}
		checkVersions(t, match, got.Versions)
		split := http.Header{"If-Match": lines(strings.ReplaceAll(match, ",", "\n")), "If-None-Match": lines(none)}
		if again, err := api.Conditions(split); err != nil || !slices.Equal(again.Versions, got.Versions) {
			t.Errorf("%q is %q, and split %q, %v", match, got.Versions, again.Versions, err)
		}
	})
}

func checkVersions(t *testing.T, match string, versions []string) {
	t.Helper()
	star := slices.Contains(versions, "*")
	if (versions == nil) != (match == "") || star && (len(versions) != 1 || strings.Contains(match, `"`)) {
		t.Errorf("If-Match %q is %q", match, versions)
	}
	if !star && len(versions) != strings.Count(match, `"`)/2 {
		t.Errorf("If-Match %q has %d tags: %q", match, strings.Count(match, `"`)/2, versions)
	}
	for _, version := range versions {
		ours := strings.Trim(version, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
		strong := strings.Count(match, `"`+version+`"`) > strings.Count(match, `W/"`+version+`"`)
		if version != "*" && version != "" && !(ours && strong) {
			t.Errorf("If-Match %q has the version %q", match, version)
		}
	}
}

// FuzzContentType holds that what is taken for JSON is of that media type and no other, in UTF-8: no form can send it
// without asking first.
func FuzzContentType(f *testing.F) {
	for _, value := range []string{
		"", "application/json", "Application/JSON ; Charset=\"UTF-8\"", "application/json;charset=utf-16", "text/plain;application/json",
		"application/json\ntext/plain", "application/json, text/plain", "application/x-www-form-urlencoded", "application/json;charset*=utf-8''utf-8",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		err := api.CheckType(lines(value)...)
		if err != nil {
			if api.Code(err) != "unsupported_media_type" {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		kind, _, _ := strings.Cut(strings.Join(lines(value), ","), ";")
		if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
			t.Errorf("%q is taken for JSON", value)
		}
		if charset := strings.ToLower(value); strings.Contains(charset, "charset=") && !strings.Contains(charset, "utf-8") {
			t.Errorf("%q is taken for UTF-8", value)
		}
	})
}

// FuzzOrigin holds that cookies count where the request says, in one value, that it comes from a page of ours, and nowhere
// else; and that another site's page can delete no cookie either.
func FuzzOrigin(f *testing.F) {
	f.Add(origin, "same-site")
	f.Add(origin+"\n"+origin, "same-origin")
	f.Add(origin+","+origin, "")
	f.Add("https://evil.example", "same-origin")
	f.Add("null", "none")
	f.Add("null", "same-origin")
	f.Add("", "same-origin")
	f.Add("", "")
	f.Add(origin, "CROSS-SITE")
	f.Add(origin, "same-origin\ncross-site")
	f.Add(origin+".evil.example", "same-site")
	w := newWorld(f, redistest.Embedded(f))
	logout := api.New(w.cfg, w.store, discard(), w.clock.now).Logout()
	f.Fuzz(func(t *testing.T, origins, site string) {
		ours := slices.Contains(w.cfg.AllowedOrigins, origins) && !strings.EqualFold(site, "cross-site") && !strings.ContainsAny(site, ",\n")
		if origins == "" || origins == "null" && site == "same-origin" { // the latter by a page with the policy no-referrer
			ours = site == "same-origin"
		}
		send := func(cookies string) answer {
			r := request("POST", "/auth/logout", "")
			r.Header = http.Header{"Origin": lines(origins), "Sec-Fetch-Site": lines(site), "Cookie": {cookies}}
			return serve(t, logout, r)
		}
		want := 403
		if ours {
			want = 401
		}
		if got := send("__Host-session=lka_x"); got.status != want {
			t.Errorf("from %q, %q: answered %d %s", origins, site, got.status, got.body)
		}
		planted := send("__Host-session=lka_x; __Host-session=lka_y")
		planted.wants(400, "invalid_request")
		tells := origins != "" || !slices.Contains([]string{"", "none", "same-origin"}, strings.Split(site, "\n")[0])
		if forgets := len(planted.cookies()) > 0; forgets != (ours || !tells) {
			t.Errorf("from %q, %q: cookies are deleted: %v", origins, site, forgets)
		}
	})
}

// FuzzPresented holds that a session opens to its own token alone, presented once, in its own transport and with nothing
// beside it; whatever else is made of a good token is refused.
func FuzzPresented(f *testing.F) {
	f.Add("Bearer TOKENB", "")
	f.Add("bearer  TOKENB ", "theme=dark; __Host-refresh=x")
	f.Add("", "a=b; __Host-session=TOKENC;c")
	f.Add("", "__Host-session=TOKENC\n__Host-session=TOKENC")
	f.Add("Bearer TOKENB", "__Host-session=TOKENC")
	f.Add("Bearer TOKENB\nBasic eA==", "")
	f.Add("Basic eA==", "__Host-session=TOKENC")
	f.Add("Bearer TOKENC", "__Host-session=")
	f.Add("TOKENB", "__host-session=TOKENC; session=TOKENC; __Host-session=\"TOKENC\"")
	w := newWorld(f, redistest.Embedded(f))
	profile := api.New(w.cfg, w.store, discard(), w.clock.now).Profile()
	tokens := strings.NewReplacer("TOKENB", w.token(session.Bearer), "TOKENC", w.token(session.Cookie))
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		r := request("GET", "/api/profile", "")
		r.Header = http.Header{"Authorization": lines(tokens.Replace(authorization)), "Cookie": lines(tokens.Replace(cookie))}
		got := serve(t, profile, r)
		if got.status != 200 && got.status != 400 && got.status != 401 {
			t.Errorf("%q and %q: answered %d %s", authorization, cookie, got.status, got.body)
		}
		if got.status == 400 != (got.code() == "invalid_request") {
			t.Errorf("%q and %q: answered %d %s", authorization, cookie, got.status, got.body)
		}
		if got.status == 200 && !presents(authorization, cookie) {
			t.Errorf("%q and %q open a session", authorization, cookie)
		}
	})
}

// token is the access token of a new session.
func (w *world) token(transport session.Transport) string {
	w.t.Helper()
	g, err := w.store.Create(ctx, session.Login{
		Nonce: transport.String(), Account: token.KeyAccount(newAccount(w.t).address), ChainID: 1, Client: session.Client{Transport: transport},
	})
	must(w.t, err)
	return g.AccessToken
}

var (
	bearerHeader = regexp.MustCompile(`^\s*(?i:bearer)\s+TOKENB\s*$`)
	ownCookie    = regexp.MustCompile(`(?:^|[;\n])[ \t]*__Host-session=([^;\n]*)`)
)

// presents tells whether headers hold one good credential and no other, but for those of another scheme.
func presents(authorization, cookie string) bool {
	var sessions [][]string // those with the beginning of a token; others are another program's
	for _, m := range ownCookie.FindAllStringSubmatch(cookie, -1) {
		if value := strings.Trim(m[1], " \t"); value == "TOKENB" || value == "TOKENC" || token.HasKind(value) {
			sessions = append(sessions, m)
		}
	}
	if bearerHeader.MatchString(authorization) {
		return len(sessions) == 0
	}
	bearer := slices.ContainsFunc(strings.Fields(authorization), func(word string) bool { return strings.EqualFold(word, "bearer") })
	return !bearer && len(sessions) == 1 && strings.TrimRight(sessions[0][1], " \t") == "TOKENC"
}

var (
	versionNumber = regexp.MustCompile(`/[0-9.]+`)
	families      = []string{"", "iOS", "iPadOS", "Android", "Windows", "ChromeOS", "macOS", "Linux"}
)

// FuzzDevice holds that a device is told by words that are short, printable and of no version: what comes behind a product,
// and what number it has, changes nothing.
func FuzzDevice(f *testing.F) {
	for _, agent := range []string{
		chrome, firefox, "", "curl/8.14.1", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1) MetaMaskMobile",
		"Mozilla/5.0 (Linux; Android 15) Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 15; Tablet) EdgA/142.0", "Zürich/1", strings.Repeat("long", 20), "\xff", "Windows iPad",
	} {
		f.Add(agent)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		d, err := api.Device(agent)
		must(t, err)
		if len(d.Browser) > 32 || d.ID != "" || strings.ContainsFunc(d.Browser, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is %+v", agent, d)
		}
		if !slices.Contains(families, d.OS) || (d.OS == "") != (d.Class == session.OtherDevice) || d.Name != d.DefaultName() || len(d.Name) > 64 {
			t.Errorf("%q is %+v", agent, d)
		}
		for _, other := range []string{agent + " 9.9", versionNumber.ReplaceAllString(agent, "/9.9")} {
			if same, err := api.Device(other); err != nil || same != d {
				t.Errorf("%q is %+v, and %q %+v, %v", agent, d, other, same, err)
			}
		}
	})
}

// FuzzDeviceID holds that a device's own id is one value of visible ASCII as it was sent, or refused.
func FuzzDeviceID(f *testing.F) {
	for _, ids := range []string{"laptop-1", "~!\"", "a,b", "a\nb", " a", "a\x7f", "é", strings.Repeat("x", 256), strings.Repeat("x", 257)} {
		f.Add(ids)
	}
	f.Fuzz(func(t *testing.T, ids string) {
		fits := len(ids) <= 256 && !strings.ContainsFunc(ids, func(r rune) bool { return r < '!' || r > '~' || r == ',' })
		d, err := api.Device("curl/8.14.1", lines(ids)...)
		if fits && (err != nil || d.ID != ids) || !fits && api.Code(err) != "invalid_request" {
			t.Errorf("%q is %q, %v", ids, d.ID, err)
		}
	})
}
