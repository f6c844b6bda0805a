package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
)

// FuzzBody feeds the decoder through the routes that have one. Whatever comes is a client's fault, and what is taken for
// JSON is what a tolerant decoder takes for JSON too.
func FuzzBody(f *testing.F) {
	for _, tt := range bodies {
		f.Add(tt.body)
	}
	f.Add(`{"message":"","signature":"0x","transport":"bearer","deviceName":"x"}`)
	f.Add(`{"everywhere":true,"refreshToken":"lkr_x"}`)
	w := newWorld(f, redistest.Embedded(f))
	edge := api.New(w.cfg, w.store, discard(), w.clock.now)
	login, refresh, logout := edge.Login(), edge.Refresh(), edge.Logout()
	f.Fuzz(func(t *testing.T, body string) {
		for path, h := range map[string]http.Handler{"/auth/login": login, "/auth/refresh": refresh, "/auth/logout": logout} {
			got := serve(t, h, request("POST", path, body))
			if got.status < 400 || got.status >= 500 || got.code() == "" {
				t.Errorf("%q was answered %d %s", body, got.status, got.body)
			}
		}
		// With nothing presented, 401 means that the body was taken.
		if taken := serve(t, logout, request("POST", "/auth/logout", body)); taken.status == 401 && body != "" {
			var fields map[string]any
			if err := json.Unmarshal([]byte(body), &fields); err != nil || len(fields) > 2 {
				t.Errorf("%q was taken for %v, %v", body, fields, err)
			}
		}
	})
}

// FuzzCredentials feeds the places where credentials come from. Nobody is let in, and nothing breaks.
func FuzzCredentials(f *testing.F) {
	f.Add("Bearer lka_x", "__Host-session=lka_x; __Host-refresh=lkr_y", "transport=cookie")
	f.Add("bearer a,b", "__Host-session=\"x\"; $Version=1", "token=x")
	f.Add("Basic x", "__Host-prelogin=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA;;=", "a=lkr_x&%zz")
	w := newWorld(f, redistest.Embedded(f))
	edge := api.New(w.cfg, w.store, discard(), w.clock.now)
	profile, refresh, logout, nonce := edge.Profile(), edge.Refresh(), edge.Logout(), edge.Nonce()
	f.Fuzz(func(t *testing.T, authorization, cookie, query string) {
		send := func(h http.Handler, method, path string) answer {
			r := request(method, path, "")
			r.URL.RawQuery = query
			r.Header = http.Header{"Authorization": {authorization}, "Cookie": {cookie}, "Origin": {origin}}
			return serve(t, h, r)
		}
		for _, got := range []answer{send(profile, "GET", "/api/profile"), send(refresh, "POST", "/auth/refresh"), send(logout, "POST", "/auth/logout")} {
			if got.status != 400 && got.status != 401 {
				t.Errorf("answered %d %s", got.status, got.body)
			}
		}
		got := send(nonce, "GET", "/auth/nonce")
		if got.status != 200 && got.status != 400 {
			t.Errorf("nonce answered %d %s", got.status, got.body)
		}
		for _, line := range got.header["Set-Cookie"] {
			if strings.ContainsAny(line, "\r\n") {
				t.Errorf("set %q", line)
			}
		}
	})
}
