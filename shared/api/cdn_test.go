package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
)

const (
	verify = "X-Origin-Verify"
	viewer = "Cloudfront-Viewer-Address"

	// Drawn once for these tests; they open nothing.
	edgeSecret  = "u7Qm2ZtX9bLk4VnR0sWc6YpHd3JgFa8E"
	otherSecret = "Kf5TzN1rBy8XqGm3WvUe0Lj7HsPc4DoA"

	edgeIP = "130.176.1.2" // the CDN's, as API Gateway sees it
)

// behindCDN makes a world whose gateway sees the CDN alone, with both values of a rotation and the viewer's address in that
// header.
func behindCDN(header string) func(*world) {
	return func(w *world) {
		secret := api.NewOriginSecret([]string{otherSecret, edgeSecret})
		w.cfg.CDN = api.CDN{AddressHeader: header, Verify: func(_ context.Context, value string) bool { return secret.Has(value) }}
		w.from(edgeIP)
	}
}

// through makes a request come through the CDN, from a viewer.
func through(address string) change {
	return func(r *http.Request) {
		r.Header.Set(verify, edgeSecret)
		r.Header.Set(viewer, address)
	}
}

// lastIP is the address of the newest line of the access log.
func (w *world) lastIP() any {
	w.t.Helper()
	lines := w.lines("request")
	return lines[len(lines)-1]["ip"]
}

// Of CloudFront's header what follows the last colon is the port, also after IPv6, which has no brackets there. Every other
// header has an address alone. A client has one address, in whichever way it is written. What is not readable leaves the
// address that the gateway saw, and the request is served.
func TestCDN_clientAddress(t *testing.T) {
	const other = "X-Viewer-Ip"
	for name, c := range map[string]struct {
		header string
		values []string
		want   string
	}{
		"IPv4 and port":                        {viewer, []string{"198.51.100.7:46532"}, "198.51.100.7"},
		"IPv6 and port, without brackets":      {viewer, []string{"2001:db8:1:2:3:4:5:6:443"}, "2001:db8:1:2:3:4:5:6"},
		"IPv6, shortened, and port":            {viewer, []string{"2001:DB8::1:443"}, "2001:db8::1"},
		"IPv6 that ends in a colon, and port":  {viewer, []string{"2001:db8:::443"}, "2001:db8::"},
		"IPv4 in IPv6, and port":               {viewer, []string{"::ffff:198.51.100.7:46532"}, "198.51.100.7"},
		"IPv4 in IPv6 in hexadecimal":          {viewer, []string{"::FFFF:c633:6407:1"}, "198.51.100.7"},
		"IPv6 with a zone":                     {viewer, []string{"fe80::1%eth0:443"}, "fe80::1"},
		"no port":                              {viewer, []string{"198.51.100.7"}, edgeIP},
		"an empty port":                        {viewer, []string{"198.51.100.7:"}, edgeIP},
		"a port above 65535":                   {viewer, []string{"198.51.100.7:65536"}, edgeIP},
		"a port that is a word":                {viewer, []string{"198.51.100.7:http"}, edgeIP},
		"a port with a sign":                   {viewer, []string{"198.51.100.7:+80"}, edgeIP},
		"two ports":                            {viewer, []string{"198.51.100.7:1:2"}, edgeIP},
		"brackets":                             {viewer, []string{"[2001:db8::1]:443"}, edgeIP},
		"a port alone":                         {viewer, []string{":443"}, edgeIP},
		"a number alone":                       {viewer, []string{"443"}, edgeIP},
		"nothing":                              {viewer, []string{""}, edgeIP},
		"no header":                            {viewer, nil, edgeIP},
		"garbage":                              {viewer, []string{"evil\"}:443"}, edgeIP},
		"a host name":                          {viewer, []string{"viewer.example:443"}, edgeIP},
		"IPv4 with a leading zero":             {viewer, []string{"198.51.100.07:443"}, edgeIP},
		"two headers":                          {viewer, []string{"198.51.100.7:1", "198.51.100.8:1"}, edgeIP},
		"the same header twice":                {viewer, []string{"198.51.100.7:1", "198.51.100.7:1"}, edgeIP},
		"two values joined by a comma":         {viewer, []string{"198.51.100.7:1, 198.51.100.8:1"}, edgeIP},
		"two values in a zone":                 {viewer, []string{"fe80::1%a,198.51.100.8:1"}, edgeIP},
		"IPv4 in another header":               {other, []string{"198.51.100.7"}, "198.51.100.7"},
		"IPv6 in another header":               {other, []string{"2001:db8::1:443"}, "2001:db8::1:443"},
		"IPv4 in IPv6 in another header":       {other, []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"IPv4 and port in another header":      {other, []string{"198.51.100.7:443"}, edgeIP},
		"IPv6 and port in another header":      {other, []string{"[2001:db8::1]:443"}, edgeIP},
		"a list in another header":             {other, []string{"198.51.100.7,198.51.100.8"}, edgeIP},
		"CloudFront's header, and another one": {other, nil, edgeIP},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, redistest.Embedded(t), behindCDN(c.header))
			w.script().send("GET", "/health", nil, through("192.0.2.1:1"), func(r *http.Request) {
				r.Header.Del(c.header)
				if c.header != viewer {
					r.Header.Set(viewer, "192.0.2.1:1")
				}
				if c.values != nil {
					r.Header[c.header] = c.values
				}
			}).wants(200, "")
			equal(t, "ip", w.lastIP(), c.want)
		})
	}
}

// pastCDN are headers of requests that did not come through the CDN.
var pastCDN = map[string][]change{
	"no secret":                     {},
	"a wrong secret":                {with(verify, "x"+edgeSecret[1:])},
	"an empty secret":               {with(verify, "")},
	"a part of the secret":          {with(verify, edgeSecret[:31])},
	"the secret and more":           {with(verify, edgeSecret+"x")},
	"the secret in lower case":      {with(verify, strings.ToLower(edgeSecret))},
	"the secret twice":              {with(verify, edgeSecret), more(verify, edgeSecret)},
	"both values":                   {with(verify, edgeSecret), more(verify, otherSecret)},
	"the secret twice, joined":      {with(verify, edgeSecret+","+edgeSecret)},
	"the secret and another one":    {with(verify, edgeSecret), more(verify, "x")},
	"the secret after an empty one": {with(verify, ","+edgeSecret)},
	"the secret in another header":  {with("X-Origin-Secret", edgeSecret)},
}

// A request that did not come through the CDN is refused before anything else: on every route, whatever else is wrong with
// it, without a round trip, and without being counted. Its address is the one that the gateway saw.
func TestCDN_refusesForgeries(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		counting := redistest.Counting(t, r)
		w := newWorldOn(t, r, counting, behindCDN(viewer), rates(2, 2, 2))
		c := w.script()
		forged := with(viewer, "198.51.100.7:443")
		counting.Reset()
		for name, changes := range pastCDN {
			for route := range w.routes() {
				method, path, _ := strings.Cut(route, " ")
				got := c.send(method, strings.NewReplacer("{", "", "}", "").Replace(path), nil, append(changes, forged)...)
				if method == "HEAD" {
					equal(t, name+": status of HEAD", got.status, 403)
					continue
				}
				checkProblem(t, got.wants(403, "edge_required"))
			}
			equal(t, name+": ip", w.lastIP(), edgeIP)
			c.send("GET", "/api/profile?access_token=x", nil, append(changes, bearer("lka_x"), more("Cookie", "__Host-session=lka_x"))...).
				wants(403, "edge_required")
			w.events()
			c.send("POST", "/auth/login", "{", append(changes, forged)...).wants(403, "edge_required")
			w.wantsEvents(name, "login failure reason=edge_required")
		}
		w.call = func(info *api.RequestInfo) { info.Malformed = true }
		c.send("GET", "/auth/nonce", nil).wants(403, "edge_required")
		c.send("GET", "/auth/nonce", nil, through("198.51.100.7:443")).wants(400, badRequest)
		w.from(edgeIP)
		if n := counting.RoundTrips(); n != 0 {
			t.Errorf("%d round trips", n)
		}
		// Nothing was counted: the viewer whose address was forged, and the CDN's own, have their nonces.
		for _, address := range []string{"198.51.100.7:443", edgeIP + ":443"} {
			for range 2 {
				c.send("GET", "/auth/nonce", nil, through(address)).wants(200, "")
			}
			c.send("GET", "/auth/nonce", nil, through(address)).limited("nonce", 2, 30)
		}
		// Both values of a rotation are accepted.
		c.send("GET", "/health", nil, with(verify, otherSecret)).wants(200, "")
	})
}

// Without a secret nothing is refused, and no header says who a client is.
func TestCDN_headerWithoutSecret(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.CDN.AddressHeader = viewer
		w.from(edgeIP)
	})
	pastCDN := map[string][]change{"a secret that nobody knows": {with(verify, edgeSecret)}, "none": {}}
	for name, changes := range pastCDN {
		w.script().send("GET", "/health", nil, append(changes, with(viewer, "198.51.100.7:443"))...).wants(200, "")
		equal(t, name, w.lastIP(), edgeIP)
	}
}

// Without a header the secret alone decides who is served, and the address is the gateway's.
func TestCDN_secretWithoutHeader(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), behindCDN(""))
	c := w.script()
	c.send("GET", "/health", nil, through("198.51.100.7:443")).wants(200, "")
	equal(t, "ip", w.lastIP(), edgeIP)
	c.send("GET", "/health", nil).wants(403, "edge_required")
}

// Two people behind one CDN are two: each has rate limits of their own, and session, network policy, activity and log show
// where each of them is. Attack case 41.
func TestCDN_sameAddressEverywhere(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, behindCDN(viewer), policies(session.PolicyStepUp, session.PolicyLog), rates(4, 4, 2))
		const home, away = "198.51.100.7", "2001:db8:1:2::a"
		here, there := through(home+":46532"), through(away+":443")
		alice, c := newAccount(t), w.script()
		c.header.Set(verify, edgeSecret)
		c.header.Set(viewer, home+":1")

		got := c.signIn(alice)
		equal(t, "ip of the session", got.at("session", "ip"), home)
		equal(t, "ip in the log of the login", w.last("login")["ip"], home)
		w.events()
		profile := c.profile(here).wants(200, "")
		equal(t, "lastIp", profile.at("session", "lastIp"), home)
		w.wantsEvents("another port is the same network")
		profile = c.profile(there).wants(200, "")
		equal(t, "lastIp elsewhere", profile.at("session", "lastIp"), away)
		equal(t, "ip in the access log", w.lastIP(), away)
		equal(t, "ip in the log of the change", w.last("network.changed")["ip"], away)
		events := c.ask("GET", "/api/activity", nil, there).wants(200, "").events()
		equal(t, "newest activity", events[0]["type"], "network.changed")
		equal(t, "its ip", events[0]["ip"], away)
		equal(t, "ip of the login in the activity", events[len(events)-1]["ip"], home)

		w.clock.add(time.Minute)
		limited := func(what, name string, quota, seconds int, ask func(change) answer) {
			t.Helper()
			for range quota {
				if got := ask(here); got.code() == "rate_limited" {
					t.Errorf("%s: limited too early", what)
				}
			}
			ask(here).limited(name, quota, seconds)
			if got := ask(there); got.code() == "rate_limited" {
				t.Errorf("%s: limited for what another person did", what)
			}
		}
		body := c.body(newAccount(t), c.message(newAccount(t)).String())
		w.clock.add(time.Minute)
		limited("nonces", "nonce", 4, 15, func(from change) answer { return c.send("GET", "/auth/nonce", nil, from) })
		limited("logins", "login", 4, 15, func(from change) answer { return c.login(body, from) })
		limited("refreshes", "refresh", 2, 30, func(from change) answer { return c.renew(from) })
		if strings.Contains(w.log.text(), edgeIP) {
			t.Error("the CDN's address is in the log")
		}
	})
}

// A CDN that does not send the address is logged once a minute, with what to look at and without what it sent.
func TestCDN_warnsOfAnUnreadableAddress(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), behindCDN(viewer))
	c := w.script()
	wants := func(what string, warnings int) map[string]any {
		t.Helper()
		lines := w.lines("client address not readable")
		if len(lines) != warnings {
			t.Fatalf("%s: %d warnings: %s", what, len(lines), w.log.text())
		}
		if warnings == 0 {
			return nil
		}
		return lines[warnings-1]
	}
	c.send("GET", "/health", nil, through("198.51.100.7:443")).wants(200, "")
	wants("a readable address", 0)
	for range 3 {
		c.send("GET", "/health", nil, through("odd-value")).wants(200, "")
	}
	line := wants("three that are not", 1)
	names(t, "the warning", line, "time", "level", "msg", "requestId", "header", "error")
	equal(t, "level", line["level"], "WARN")
	equal(t, "header", line["header"], viewer)
	equal(t, "error", line["error"], "the value is not an IP address, a colon and a port")
	w.clock.add(time.Minute - time.Millisecond)
	c.send("GET", "/health", nil, with(verify, edgeSecret)).wants(200, "")
	wants("within the minute", 1)
	w.clock.add(time.Millisecond)
	c.send("GET", "/health", nil, with(verify, edgeSecret)).wants(200, "")
	equal(t, "error without a header", wants("a minute later", 2)["error"], "the header is not in the request; have the CDN send it")
	w.clock.add(-time.Hour)
	c.send("GET", "/health", nil, through("198.51.100.7:1"), more(viewer, "198.51.100.7:1")).wants(200, "")
	equal(t, "error of a doubled one", wants("a clock that was set back", 3)["error"], "the header has several values; have the CDN replace it")
	if strings.Contains(w.log.text(), "odd-value") {
		t.Errorf("logged what was sent: %s", w.log.text())
	}
}

// The secret is in no answer and no line of the log, whatever becomes of the request, and no handler gets to see it.
func TestCDN_secretIsNeverShown(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), behindCDN(viewer))
	c := w.script()
	c.header.Set(verify, edgeSecret)
	c.header.Set(viewer, "198.51.100.7:443")
	answers := []answer{c.signIn(newAccount(t)), c.profile(), c.ask("GET", "/api/activity", nil), c.ask("GET", "/api/preferences", nil)}
	for _, changes := range pastCDN {
		answers = append(answers, c.send("GET", "/health", nil, append([]change{without(verify)}, changes...)...))
	}
	answers = append(answers, c.login("{"), c.logout("{"), c.send("GET", "/health", nil, with(viewer, edgeSecret)))
	panics := request("POST", "/auth/login", "")
	panics.Body = bomb{}
	panics.Header = c.header.Clone()
	panics.Header.Set("Content-Type", "application/json")
	answers = append(answers, serve(t, w.api.Login(), panics))
	equal(t, "status of the panic", answers[len(answers)-1].status, 500)
	for _, got := range answers {
		if text := got.body + fmt.Sprint(got.header); strings.Contains(text, edgeSecret) || strings.Contains(text, otherSecret) {
			t.Errorf("answered %s", text)
		}
	}
	if log := w.log.text(); strings.Contains(log, edgeSecret) || strings.Contains(log, otherSecret) {
		t.Errorf("logged %s", log)
	}
	for name, change := range map[string]func(*world){"behind a CDN": behindCDN(viewer), "without one": func(*world) {}} {
		w := newWorld(t, redistest.Embedded(t), change)
		r := request("GET", "/health", "")
		r.Header = http.Header{verify: {edgeSecret}, "Accept": {"*/*"}}
		pass, seen := w.api.Passes(r)
		if !pass() || len(seen()) != 1 || seen().Get("Accept") == "" {
			t.Errorf("%s: a handler sees %v", name, seen())
		}
		equal(t, name+": the caller's header", r.Header.Get(verify), edgeSecret)
	}
}

// Who has no CDN pays nothing for it.
func TestCDN_costsNothingWithout(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	pass, _ := w.api.Passes(request("GET", "/api/profile", ""))
	if n := testing.AllocsPerRun(100, func() { pass() }); n != 0 || w.api.CDNHeaders() != nil {
		t.Errorf("%v allocations, headers %q", n, w.api.CDNHeaders())
	}
}

// Each value is accepted as it is, and nothing near it.
func TestOriginSecret(t *testing.T) {
	secret := api.NewOriginSecret([]string{edgeSecret, otherSecret, edgeSecret})
	for _, value := range []string{edgeSecret, otherSecret} {
		if !secret.Has(value) {
			t.Error("a value is refused")
		}
		for i := range len(value) {
			changed := []byte(value)
			changed[i] ^= 1
			if secret.Has(string(changed)) || secret.Has(value[:i]) {
				t.Errorf("accepted with byte %d changed, or so short", i)
			}
		}
	}
	if secret.Has("") || (api.OriginSecret{}).Has("") || strings.Contains(fmt.Sprintf("%v %+v %#v", secret, secret, secret), edgeSecret) {
		t.Error("an empty value is accepted, or the values are shown")
	}
}

// FuzzClientAddress holds that an address that is read from a header is what the header says, in one form, and that no list
// is read as one address.
func FuzzClientAddress(f *testing.F) {
	for _, value := range []string{
		"198.51.100.7:46532", "2001:db8::1:443", "::ffff:198.51.100.7:1", "fe80::1%eth0:443", "198.51.100.7", "2001:db8::1",
		"198.51.100.7:1,198.51.100.8:1", "[2001:db8::1]:443", ":", "",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{viewer, "X-Viewer-Ip"} {
			ip, err := api.ClientAddress(name, value)
			if err != nil {
				if ip.IsValid() || len(value) > 8 && strings.Contains(err.Error(), value) {
					t.Errorf("%s %q: %v, %v", name, value, ip, err)
				}
				continue
			}
			text := value
			if name == viewer {
				text = value[:strings.LastIndex(value, ":")]
			}
			if said := netip.MustParseAddr(text); ip.Zone() != "" || ip.Is4In6() || said.Unmap().WithZone("") != ip || strings.Contains(value, ",") {
				t.Errorf("%s %q became %v", name, value, ip)
			}
			if again, err := api.ClientAddress(name, value, value); err == nil {
				t.Errorf("%s %q twice became %v", name, value, again)
			}
		}
	})
}
