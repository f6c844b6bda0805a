package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// fakeFeed is a script that has the page get these events at its second question, besides those of the server.
const fakeFeed = `(() => {
	const original = window.fetch
	let calls = 0
	window.fetch = async (input, init) => {
		const answer = await original(input, init)
		if (!String(input).startsWith('/page/events') || ++calls !== 2) return answer
		const body = await answer.json()
		return Response.json({ last: body.last, events: [...body.events, ...%s] })
	}
})()`

const hostile = `<img src=x onerror="window.isInline = true">`

// The page shows what is published as it happens, whoever is signed in.
func TestPage_published(t *testing.T) {
	s, w := start(t), newWallet(t)
	tab := browser(t)
	console := watchConsole(tab)
	open(t, tab, s.url+"/")
	says(t, tab, "#published-empty", "Nothing yet.")
	token := w.login(s, "?transport=bearer")
	short := w.address[:6] + "…" + w.address[len(w.address)-4:]
	says(t, tab, "#published-list li:first-child", "session.started", short, "by user")
	says(t, tab, "#published-news", "New: session.started at ")
	if status, _ := exchange(t, "POST", s.url+"/auth/logout", token, ""); status != http.StatusNoContent {
		t.Fatalf("logout: %d", status)
	}
	says(t, tab, "#published-list li:first-child", "session.ended", "logged_out", "by user")
	says(t, tab, "#published-news", "session.ended at ")
	await(t, tab, "document.querySelector('#published-empty').hidden")

	// A page that is opened later shows them too, and a screen reader does not read what is old.
	if err := chromedp.Do(tab, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	says(t, tab, "#published-list li:last-child", "session.started")
	await(t, tab, "document.querySelectorAll('#published-list li').length === 2")
	if news := evaluate[string](t, tab, "document.querySelector('#published-news').textContent"); news != "" {
		t.Errorf("a reload is announced: %q", news)
	}
	// They are not among the requests, which would be pushed out by one each second.
	if log := strings.Join(requests(t, tab), "\n"); strings.Contains(log, feedPath) {
		t.Errorf("the requests are %s", log)
	}
	roles := evaluate[string](t, tab, `[document.querySelector('#published-list'), document.querySelector('#published-news')]
		.map(node => node.role + ' ' + node.ariaLive + ' ' + node.closest('[aria-live], [role=log]')?.id).join('; ')`)
	if roles != "null null undefined; status null undefined" {
		t.Errorf("the live regions are %s", roles)
	}
	console.checkNone(t, tab)
}

// Whatever an event says is text. Many at once are one line to a screen reader, and the list does not grow for ever.
func TestPage_publishedHostile(t *testing.T) {
	s, tab := start(t), browser(t)
	one := fmt.Sprintf(`{ id: 'x', 'detail-type': %[1]q, detail: { time: '2026-11-23T10:07:00.000Z', userId: %[1]q, reason: %[1]q,
		actor: { kind: %[1]q } } }`, hostile)
	addScript(t, tab, fmt.Sprintf(fakeFeed, "Array(60).fill("+one+")"))
	open(t, tab, s.url+"/")
	says(t, tab, "#published-list li:first-child .what", hostile)
	says(t, tab, "#published-list li:first-child .hint", "user <img src… · "+hostile+" · by "+hostile)
	says(t, tab, "#published-news", "60 new, the latest: "+hostile)
	if evaluate[bool](t, tab, "window.isInline === true || document.querySelector('#published img') !== null") {
		t.Error("a value became an element")
	}
	await(t, tab, "document.querySelectorAll('#published-list li').length === 50")

	// Everybody can use it, in both themes, wide and narrow.
	p := &aConsole{Context: tab}
	evaluate[string](t, tab, axe(t)+"; axe.version")
	for _, width := range []int64{1280, 390, 320} {
		for _, theme := range []string{"light", "dark"} {
			p.look(t, width, theme)
			p.checkAccess(t, fmt.Sprint(width, " ", theme))
		}
	}
}

// A server that publishes nothing has no list of it.
func TestPage_publishesNothing(t *testing.T) {
	s, tab := start(t, "EVENTS="), browser(t)
	open(t, tab, s.url+"/")
	says(t, tab, "#status", "Signed out")
	if evaluate[bool](t, tab, "document.querySelector('#published') !== null") {
		t.Error("there is a list")
	}
}
