package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	download "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

func testConsoleOverview(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	newWallet(t).login(c.server, "?transport=bearer")
	p := c.signIn(c.admin, "")
	p.shows(t, "main h1", "Overview")
	p.shows(t, "#health", "Healthy: a login could work now.", "Redis", "ok, answered in")
	p.shows(t, "#age", "Live numbers were read")
	for name, want := range map[string]string{"Live sessions": "3", "Accounts with a live session": "2"} {
		got := evaluate[string](t, p, fmt.Sprintf(
			`[...document.querySelectorAll('.tile')].find(tile => tile.querySelector('dt').textContent === %q).querySelector('dd').textContent`, name))
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	p.shows(t, "#parts-by-chain", "Ethereum (1)", "100 %")
	p.shows(t, "#parts-by-transport", "bearer")
	newWallet(t).login(c.server, "?transport=bearer")
	press(t, p, "#reload")
	p.shows(t, ".tiles", "4")
	p.checkPolicy(t)
}

// charted are the hours of testConsoleCharts.
type charted struct {
	Hour         string         `json:"hour"`
	Logins       int            `json:"logins"`
	FailedLogins int            `json:"failedLogins"`
	Ended        map[string]int `json:"ended"`
}

// knownHours are 24 hours in which every number differs from its neighbours.
func knownHours() (hours []charted) {
	reasons := []string{"logged_out", "idle_timeout", "absolute_timeout", "revoked", "revoked_by_admin", "evicted", "refresh_reused"}
	for i := range 24 {
		h := charted{Hour: fmt.Sprintf("2026-11-%02dT%02d:00:00.000Z", 29+(i+12)/24, (i+12)%24),
			Logins: 40 + int(30*math.Sin(float64(i)/3)) + i%3, FailedLogins: i * i % 7, Ended: map[string]int{}}
		for at, reason := range reasons {
			if n := (20-3*at)*(i%4)/2 + i%(at+2); n > 0 {
				h.Ended[reason] = n
			}
		}
		hours = append(hours, h)
	}
	hours[17].FailedLogins = 412 // somebody tries
	return hours
}

// statistics is an answer of GET /api/admin/sessions with these hours.
func statistics(t *testing.T, hours []charted) string {
	t.Helper()
	return fmt.Sprintf(`{"active":1284,"users":913,"byChain":{"1":702,"8453":391,"10":120,"137":71},
		"byTransport":{"cookie":1107,"bearer":177},"byDevice":{"desktop":640,"mobile":588,"tablet":41,"other":15},
		"last24h":{"logins":1042,"failedLogins":463,"ended":{"logged_out":212}},"hours":%s,"asOf":"2026-11-30T12:00:40.000Z"}`,
		encode(t, hours))
}

// drawn is what a chart shows of one series: its values from the bars, from their heights, and from its table.
type drawn struct {
	Bars    []float64
	Heights []float64
	Table   []string
}

// readCharts returns what each chart shows, by its element and its series.
const readCharts = `(() => {
	const charts = {}
	for (const chart of document.querySelectorAll('figure.chart')) {
		const columns = [...chart.querySelectorAll('.plot g')]
		const names = [...chart.querySelectorAll('thead th')].slice(1).map(th => th.textContent)
		const rows = [...chart.querySelectorAll('tbody tr')].slice(0, -1)
		names.forEach((name, i) => {
			const bars = columns.map(g => g.querySelector('[data-series="' + i + '"]'))
			charts[chart.id + ' ' + name] = {
				bars: bars.map(bar => Number(bar?.dataset.value ?? 0)),
				heights: bars.map(bar => bar ? bar.getBBox().height : 0),
				table: rows.map(row => row.children[i + 1].textContent),
			}
		})
	}
	return charts
})()`

// The charts show exactly the numbers of the answer: as heights of bars, and in their tables.
func testConsoleCharts(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	p := c.open(c.admin, "")
	hours := knownHours()
	p.answerWith(t, "*/api/admin/sessions", 200, nil, statistics(t, hours))
	press(t, p, "#wallets button")
	p.await(t, "document.querySelectorAll('.plot svg').length === 3")
	charts := evaluate[map[string]drawn](t, p, readCharts)
	check := func(name string, hasBars bool, value func(charted) int) {
		t.Helper()
		got, ok := charts[name]
		if !ok || len(got.Bars) != 24 || len(got.Table) != 24 {
			t.Errorf("the page has no chart %q with 24 hours", name)
			return
		}
		unit := 0.0 // the height of one
		for i, h := range hours {
			want := value(h)
			if got.Table[i] != fmt.Sprint(want) {
				t.Errorf("%s, hour %d: the table has %s, want %d", name, i, got.Table[i], want)
			}
			if !hasBars {
				continue
			}
			if unit == 0 && want > 0 {
				unit = got.Heights[i] / float64(want)
			}
			if got.Bars[i] != float64(want) || math.Abs(got.Heights[i]-unit*float64(want)) > 0.01 || want > 0 && unit <= 0 {
				t.Errorf("%s, hour %d: a bar of %v with the height %v, want %d", name, i, got.Bars[i], got.Heights[i], want)
			}
		}
	}
	check("chart-logins Logins", true, func(h charted) int { return h.Logins })
	check("chart-failed-logins Failed logins", true, func(h charted) int { return h.FailedLogins })
	const ends = "chart-ended-sessions-by-reason "
	check(ends+"signed out", true, func(h charted) int { return h.Ended["logged_out"] })
	check(ends+"not used for too long", true, func(h charted) int { return h.Ended["idle_timeout"] })
	check(ends+"old refresh token used again", false, func(h charted) int { return h.Ended["refresh_reused"] })

	// The bars of one hour stand on each other, and the highest is as high as the axis says.
	if wrong := evaluate[[]string](t, p, `[...document.querySelectorAll('.plot svg')].flatMap(svg => {
		const [zero, , end] = [...svg.querySelectorAll('.tick')].map(tick => Number(tick.textContent.replace(/\D/g, '')))
		const [base, , top] = [...svg.querySelectorAll('line')].map(line => line.y1.baseVal.value)
		return [...svg.querySelectorAll('g')].flatMap(g => {
			const bars = [...g.querySelectorAll('[data-value]')]
			const value = bars.reduce((all, bar) => all + Number(bar.dataset.value), 0)
			const height = bars.reduce((all, bar) => all + bar.getBBox().height, 0)
			const y = Math.min(base, ...bars.map(bar => bar.getBBox().y))
			const isRight = Math.abs(height - (base - top) * value / end) < .01 && Math.abs(base - y - height) < .01
			return zero === 0 && isRight ? [] : [svg.getAttribute('aria-label') + ': ' + value + ' has ' + height]
		})
	})`); len(wrong) > 0 {
		t.Errorf("bars do not fit the axis: %q", wrong)
	}
	p.shows(t, "#chart-failed-logins figcaption", "the most in one hour: 412")
	p.shows(t, "#chart-ended-sessions-by-reason .legend", "signed out: ", "2 other reasons: ")
	looks := evaluate[[]string](t, p, `[...document.querySelectorAll('.legend pattern')].map(pattern =>
		[...pattern.children].slice(1).map(mark => mark.outerHTML).join())`)
	seen := map[string]bool{}
	for _, look := range looks {
		if seen[look] {
			t.Errorf("two series of the legend differ by colour alone: %q", looks)
		}
		seen[look] = true
	}
	if len(looks) != 6 {
		t.Errorf("the legend has %d series, want 6", len(looks))
	}
	for part, want := range map[string]struct {
		text string
		n    float64
	}{"chain": {"Ethereum (1)|702|55 %", 702}, "device": {"desktop|640|50 %", 640}, "transport": {"cookie|1,107|86 %", 1107}} {
		got := evaluate[string](t, p, fmt.Sprintf(
			`[...document.querySelectorAll('#parts-by-%s tbody tr:first-child > *')].map(cell => cell.textContent).filter(Boolean).join('|')`, part))
		width := evaluate[float64](t, p, fmt.Sprintf(`document.querySelector('#parts-by-%s .share-value').width.baseVal.value`, part))
		if got != want.text || math.Abs(width-want.n/12.84) > 0.01 {
			t.Errorf("by %s: %s with a bar of %v, want %s", part, got, width, want.text)
		}
	}
	p.checkPolicy(t)
}

// A list goes on by itself where pages are empty, and says so.
func testConsolePages(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	for i := range 130 {
		c.setRoles(fmt.Sprintf("0x%040x", 1<<60+i), "support")
	}
	editor := c.user("editor")
	p := c.signIn(c.admin, "#/accounts")
	p.shows(t, "#list > .hint", "Page 1: ")
	seen := map[string]bool{}
	collect := func() {
		for _, title := range evaluate[[]string](t, p, "[...document.querySelectorAll('#list tbody a')].map(a => a.title)") {
			if seen[title] {
				t.Errorf("%s is on two pages", title)
			}
			seen[title] = true
		}
	}
	collect()
	for n := 2; p.has(t, "#next"); n++ {
		press(t, p, "#next")
		p.shows(t, "#list > .hint", fmt.Sprintf("Page %d: ", n))
		collect()
	}
	p.shows(t, "#list > .hint", "There are no more.")
	if len(seen) != 131 {
		t.Errorf("the pages have %d accounts, want 131", len(seen))
	}
	press(t, p, ".pages button")
	p.shows(t, "#list > .hint", "Page 2: ")

	// One of 131 accounts has this role.
	p.typeInto(t, "#role", "editor")
	press(t, p, ".filters button")
	p.shows(t, "#list", editor.address[:8], "editor")
	p.shows(t, "#list > .hint", "1 account")
	p.typeInto(t, "#role", "auditor")
	press(t, p, ".filters button")
	p.shows(t, "#list", "No such account. Looked at 3 pages.")

	// It does not go on for ever.
	stop := p.answerWith(t, "*/api/admin/users?*", 200, nil, `{"users":[],"next":"further"}`)
	p.goTo(t, "#/accounts?status=live", "Accounts")
	p.shows(t, "#list", "No such account on 10 pages, and there are more.")
	stop()
	p.goTo(t, "#/accounts?status=live&role=", "Accounts")
	p.shows(t, "#list", c.admin.address[:8])
	p.checkPolicy(t)
}

// An export has all pages, and a restore of it sets roles and blocks.
func testConsoleBackup(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	for i := range 110 {
		c.setRoles(fmt.Sprintf("0x%040x", 1<<60+i), "support")
	}
	blocked, editor := newWallet(t), c.user("editor")
	c.call("POST", "/api/admin/users/"+blocked.address+"/block", `{"note":"spam"}`)
	c.setRoles(c.admin.address, "editor") // an admin by the configuration alone
	p := c.signIn(c.admin, "#/accounts")
	folder := t.TempDir()
	p.saveDownloads(t, folder)
	press(t, p, "#export")
	p.shows(t, "#toast", "Exported 113 accounts.")
	var text string
	waitFor(t, "the download", func() bool {
		names, _ := filepath.Glob(filepath.Join(folder, "latchkey-accounts-*.ndjson"))
		if len(names) != 1 {
			return false
		}
		read, err := os.ReadFile(names[0])
		text = string(read)
		return err == nil && strings.Count(text, "\n") == 113
	})
	if strings.Contains(text, `"next"`) {
		t.Error("the export has a cursor")
	}

	// Everything is lost, and one role is no longer configured.
	fresh := newConsoleTest(t, c.browser)
	fresh.setRoles(editor.address, "support")
	p = fresh.signIn(fresh.admin, "#/restore")
	p.upload(t, text+"{\n")
	p.shows(t, "#problems", "The file is not an export, and nothing was changed.", "Line 114: it is not JSON.")
	p.upload(t, text+`{"next":"abc"}`)
	p.shows(t, "#problems", "The file is not complete")
	at := strings.Index(text, editor.address) // the admin's line has the role twice, and may come before
	p.upload(t, text[:at]+strings.Replace(text[at:], `"editor"`, `"gone"`, 1))
	p.shows(t, "#preview", "113 accounts", "112 with roles, 1 blocked")
	press(t, p, "#start")
	p.shows(t, "#progress", "Restored 112, refused 1, left 0 of 113 accounts.")
	p.shows(t, ".refusals", "not configured")
	if got := fresh.call("GET", "/api/admin/users/"+blocked.address, ""); got["blocked"] != true || got["note"] != "spam" {
		t.Errorf("after the restore: %v", got)
	}
	if got := fmt.Sprint(fresh.call("GET", "/api/admin/users?role=admin", "")["users"]); got != "[]" {
		t.Errorf("a restore has stored the role admin: %s", got)
	}
	if got := fmt.Sprint(fresh.call("GET", "/api/admin/users/0x"+fmt.Sprintf("%040x", 1<<60+109), "")["user"]); !strings.Contains(got, "support") {
		t.Errorf("after the restore: %s", got)
	}
	p.checkPolicy(t)
}

// saveDownloads has the browser save files in a folder, without a question.
func (p *aConsole) saveDownloads(t *testing.T, folder string) {
	t.Helper()
	own, err := chromedp.Call(p, target.GetTargetInfo, target.GetTargetInfoParams{})
	if err != nil {
		t.Fatal(err)
	}
	send(t, p, download.SetDownloadBehavior, download.SetDownloadBehaviorParams{
		Behavior: download.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder,
		BrowserContextID: own.TargetInfo.BrowserContextID,
	})
}

// upload chooses a file with a text.
func (p *aConsole) upload(t *testing.T, text string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "accounts.ndjson")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(p, chromedp.SetUploadFiles("#file", []string{name})); err != nil {
		t.Fatalf("choosing a file: %v", err)
	}
}

// The audit log names who did what to whom, and leads to the accounts.
func testConsoleAudit(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w, victim := c.user("auditor"), newWallet(t)
	c.call("POST", "/api/admin/users/"+victim.address+"/block", `{"note":"spam"}`)
	for range 30 {
		c.call("GET", "/api/admin/users/"+victim.address, "")
	}
	p := c.signIn(w, "")
	p.shows(t, "main h1", "Audit log")
	p.shows(t, "#deeds table", "Looked at an account")
	press(t, p, "#deeds .more button")
	p.shows(t, "#deeds table", "Blocked", "Roles changed")
	p.shows(t, "#deeds .more", "That is all.")
	press(t, p, "#deeds-only")
	shown := evaluate[[]string](t, p, `[...document.querySelectorAll('#deeds tbody tr')].filter(row => row.checkVisibility()).map(
		row => [row.cells[0].textContent, ...[...row.querySelectorAll('a')].map(a => a.title)].join(' '))`)
	want := []string{"Blocked " + c.admin.address + " " + victim.address, "Roles changed " + c.admin.address + " " + w.address}
	if !slices.Equal(shown, want) {
		t.Errorf("the changes are %q, want %q", shown, want)
	}
	press(t, p, "#deeds .deed a:last-of-type")
	p.shows(t, "main h1", "Account")
	p.checkPolicy(t)
}
