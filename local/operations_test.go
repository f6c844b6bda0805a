package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"latchkey/shared/api"
	"latchkey/shared/session"
)

// operations is the page that says what the functions log and measure.
const operations = "docs/operations.md"

// logged matches the message of a log entry where the code writes it.
var logged = regexp.MustCompile(`\b[lL]og\.(?:Info|Warn|Error|LogAttrs)(?:Context)?\((?:[\w.()]+, (?:slog\.Level\w+, )?)?"([^"]+)"`)

func TestOperations_vocabulary(t *testing.T) {
	want := map[string]string{}
	for e := session.EventLogin; e.String() != "unknown"; e++ {
		want[e.String()] = "type of event"
	}
	for r := session.LoggedOut; r.String() != "unknown"; r++ {
		want[r.String()] = "reason"
	}
	for _, m := range []api.Metric{
		api.Faults, api.FailedLogins, api.ReuseDetections, api.Sessions, api.Repaired, api.WalletsUnchecked, api.WrongChains, api.Denials, api.Unauthorized,
		api.EventsPublished, api.EventsRetried, api.EventsRefused, api.EventsDropped, api.EventsAge,
	} {
		want[string(m)] = "metric"
	}
	messages := 0
	for file := range importsOfFiles(t) {
		if !isWithin(file, "shared") {
			continue
		}
		for _, m := range logged.FindAllStringSubmatch(read(t, file), -1) {
			want[m[1]] = fmt.Sprintf("message that %s logs", file)
			messages++
		}
	}
	if messages < 15 {
		t.Errorf("only %d messages were found in the code", messages)
	}
	page := read(t, operations)
	for word, kind := range want {
		if !strings.Contains(page, "`"+word+"`") && !strings.Contains(page, `"msg":"`+word+`"`) {
			t.Errorf("%s does not have %q, a %s", operations, word, kind)
		}
	}
}
