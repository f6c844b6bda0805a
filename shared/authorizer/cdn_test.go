package authorizer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
)

const (
	verify = "X-Origin-Verify"
	viewer = "CloudFront-Viewer-Address"

	edgeSecret = "u7Qm2ZtX9bLk4VnR0sWc6YpHd3JgFa8E" // drawn once for these tests; it opens nothing
	edgeIP     = "130.176.1.2"                      // the CDN's, as API Gateway sees it
)

// behindCDN makes a world with a CDN before it. A network that changes ends the session.
func behindCDN(s *settings) {
	secret := api.NewOriginSecret([]string{edgeSecret})
	s.cfg.CDN = api.CDN{AddressHeader: "Cloudfront-Viewer-Address", Verify: func(_ context.Context, value string) bool { return secret.Has(value) }}
	s.opts.NetworkPolicy = session.PolicyRevoke
}

// ended asserts that an event ends its session, since the network is another.
func (w *world) ended(what string, e event) {
	e.t.Helper()
	before := len(w.log.text())
	w.wants(what, "deny", e)
	if line := w.log.text()[before:]; !strings.Contains(line, `"type":"session.ended"`) || !strings.Contains(line, `"reason":"hijack_suspected"`) {
		e.t.Errorf("%s, %s: logged %s", e.shape, what, line)
	}
}

// Behind a CDN the session's network is the viewer's, in every shape of event that shows headers.
func TestInvoke_behindACDN(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		for name, address := range map[string]string{
			"IPv4": clientIP + ":46532", "IPv4 in IPv6": "::ffff:" + clientIP + ":443", "within the network": "203.0.113.1:1",
		} {
			g := w.signIn(alice, session.Bearer)
			at := newEvent(t, s).bearer(g.AccessToken)
			if s != restToken {
				at = at.source(edgeIP).header(verify, edgeSecret).header(viewer, address)
			}
			w.wants(name, "allow", at)
		}
		if s == restToken { // shows no address at all
			return
		}
		g := w.signIn(bob, session.Bearer)
		at := func(address string) event {
			return newEvent(t, s).source(edgeIP).bearer(g.AccessToken).header(verify, edgeSecret).header(viewer, address)
		}
		w.ended("from another network", at("2001:db8:1:2::a:443"))
		if log := w.log.text(); !strings.Contains(log, `"ip":"2001:db8:1:2::a"`) || strings.Contains(log, edgeIP) || strings.Contains(log, edgeSecret) {
			t.Errorf("logged %s", log)
		}
	}, behindCDN)
}

// Without the secret a header says nothing, and nothing is refused for that: the address is the gateway's.
func TestInvoke_pastACDN(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		if s == restToken { // shows no headers
			return
		}
		for name, forge := range map[string]func(e event) event{
			"no secret":                    func(e event) event { return e },
			"a wrong secret":               func(e event) event { return e.header(verify, edgeSecret[1:]) },
			"an empty secret":              func(e event) event { return e.header(verify, "") },
			"the secret twice":             func(e event) event { return e.header(verify, edgeSecret, edgeSecret) },
			"the secret joined":            func(e event) event { return e.header(verify, edgeSecret+","+edgeSecret) },
			"the secret in two spellings":  func(e event) event { return e.header(verify, edgeSecret).set("x", "headers", "x-ORIGIN-verify") },
			"the secret in another header": func(e event) event { return e.header("X-Origin-Secret", edgeSecret) },
		} {
			g := w.signIn(alice, session.Bearer)
			here := func(source, address string) event {
				return forge(newEvent(t, s).source(source).bearer(g.AccessToken).header(viewer, address))
			}
			w.wants(name+", from the session's network", "allow", here(clientIP, "198.51.100.7:443"))
			w.ended(name+", from another", here("198.51.100.7", clientIP+":443"))
		}
		if log := w.log.text(); strings.Contains(log, edgeSecret) || strings.Contains(log, "client address not readable") {
			t.Errorf("logged %s", log)
		}
	}, behindCDN)
}

// Without a CDN in the configuration its headers are not even read.
func TestInvoke_withoutACDN(t *testing.T) {
	each(t, func(t *testing.T, w *world, s shape) {
		if s == restToken {
			return
		}
		g := w.signIn(alice, session.Bearer)
		w.ended("a header's address",
			newEvent(t, s).source("198.51.100.7").bearer(g.AccessToken).header(verify, edgeSecret).header(viewer, clientIP+":443"))
	}, func(s *settings) { s.opts.NetworkPolicy = session.PolicyRevoke })
}

// An address that is not readable leaves the gateway's, and is warned of once a minute.
func TestInvoke_unreadableViewer(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), behindCDN)
	g := w.signIn(alice, session.Bearer)
	for name, values := range map[string][]string{
		"no port": {clientIP}, "two": {"198.51.100.7:1", "198.51.100.8:1"}, "joined": {"198.51.100.7:1,198.51.100.8:1"}, "garbage": {"::::"}, "empty": {""},
	} {
		for _, s := range []shape{http2, http1, restRequest, webSocket} {
			w.wants(name, "allow", newEvent(t, s).bearer(g.AccessToken).header(verify, edgeSecret).header(viewer, values...))
		}
	}
	const warning = `"msg":"client address not readable"`
	if n := strings.Count(w.log.text(), warning); n != 1 {
		t.Errorf("%d warnings", n)
	}
	w.wait(time.Minute)
	w.wants("later", "allow", newEvent(t, http2).bearer(g.AccessToken).header(verify, edgeSecret))
	if n := strings.Count(w.log.text(), warning); n != 2 {
		t.Errorf("%d warnings a minute later", n)
	}
}
