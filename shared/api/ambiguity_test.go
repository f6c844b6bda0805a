package api_test

import (
	"net/http"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

// Another site's link makes the browser send a token in the URL: refused, and the browser's cookies are left alone, or
// any link could log a person out.
func TestAmbiguous_linkDeletesNoCookies(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c := w.browser()
	c.signIn(newAccount(t))
	for _, path := range []string{"/api/profile?token=1", "/health?access_token=1"} {
		for _, site := range []string{"cross-site", "same-site"} {
			got := c.send("GET", path, nil, without("Origin"), with("Sec-Fetch-Site", site)).wants(400, "invalid_request")
			if len(got.cookies()) > 0 {
				t.Errorf("%s from %s set %v", path, site, got.header["Set-Cookie"])
			}
		}
	}
	c.profile().wants(200, "")
	for _, own := range [][]change{
		{without("Origin"), with("Sec-Fetch-Site", "same-origin")}, {without("Origin"), with("Sec-Fetch-Site", "none")},
		{without("Origin"), without("Sec-Fetch-Site")}, {with("Sec-Fetch-Site", "same-site")},
	} {
		c.send("GET", "/api/profile?token=1", nil, own...).wants(400, "invalid_request").forgets()
	}
}

func TestAmbiguous_schemes(t *testing.T) { // attack case 27
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	for _, value := range []string{
		"Basic eDp5, Bearer " + c.access, "Bearer " + c.access + ", Basic eDp5", "Bearer " + c.access + " x", "Bearer a,b", "Bearer a, bearer b",
	} {
		c.send("GET", "/api/profile", nil, with("Authorization", value)).wants(400, "invalid_request")
	}
	c.send("GET", "/api/profile", nil, with("Authorization", "Basic eDp5"), more("Authorization", "Bearer "+c.access)).wants(400, "invalid_request")
	stepUp := w.browser()
	stepUp.signIn(newAccount(t))
	stepUp.profile(with("Authorization", "Bearer\t"+c.access)).wants(400, "invalid_request").forgets()
}

func TestAmbiguous_query(t *testing.T) { // attack case 27
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	for _, query := range []string{c.access, "x=Bearer%20" + c.access, "x=1&y=" + c.refresh, c.refresh + "=1", "TOKEN=1"} {
		c.send("GET", "/api/profile?"+query, nil, bearer(c.access)).wants(400, "invalid_request")
	}
	c.profile().wants(200, "")
}

// A session cookie and a refresh cookie of two sessions would fail every logout: they are deleted.
func TestAmbiguous_cookiesOfTwoSessions(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	one, two := w.browser(), w.browser()
	one.signIn(newAccount(t))
	two.signIn(newAccount(t))
	cookies := "__Host-session=" + one.cookie("session") + "; __Host-refresh=" + two.cookie("refresh")
	one.copyOf().logout(nil, with("Cookie", cookies)).wants(400, "invalid_request").forgets()
	one.profile().wants(200, "")
	two.profile().wants(200, "")
}

// A login ends the session that came along, in whatever way it came; but no other site's page can use that.
func TestLogin_replacesWhateverIsPresented(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		alice := newAccount(t)
		b, s := w.browser(), w.script()

		s.signIn(alice)
		b.signIn(alice, bearer(s.access)) // a cookie login with a bearer token
		s.profile().wants(401, "session_ended")

		stepUp := b.copyOf()
		refreshOnly := with("Cookie", "__Host-refresh="+b.cookie("refresh")+"; __Host-prelogin="+b.cookie("prelogin"))
		next := b.copyOf()
		next.login(b.body(alice, b.message(alice).String()), refreshOnly).wants(200, "") // with the refresh cookie alone
		stepUp.profile().wants(401, "session_ended")

		b.signIn(alice)
		stepUp = b.copyOf()
		cookies := with("Cookie", "__Host-session="+b.cookie("session"))
		w.script().signIn(alice, cookies, with("Origin", "https://evil.example"), with("Sec-Fetch-Site", "cross-site"))
		stepUp.profile().wants(200, "") // a bearer login from another site leaves the browser's session alone
		w.script().signIn(alice, cookies, with("Origin", origin))
		stepUp.profile().wants(401, "session_ended")
	})
}

// A request id of the gateway is kept as it is, in every character of base64.
func TestHeaders_gatewayRequestID(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	for _, id := range []string{"JKJaXmPLvHcESHA=", "/CLPsl0MfaeI4wQ=", "a+b/c-d_e="} {
		got := serveAs(t, w.api.Health(), request(http.MethodGet, "/health", ""), id)
		equal(t, "request id", got.header.Get("X-Request-Id"), id)
	}
	w.clock.add(time.Second)
	if got := serveAs(t, w.api.Health(), request(http.MethodGet, "/health", ""), "bad\r\nid"); got.header.Get("X-Request-Id") == "bad\r\nid" {
		t.Error("a request id with a line break was taken over")
	}
}
