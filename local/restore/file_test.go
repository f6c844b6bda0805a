package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
)

const (
	someID  = "ii0X_l5J9kgQDEOxC-gwQw"
	otherID = "nLWN0rSVpiyHxo_aFjio3w"
	someone = "0x5E233bbcE0AF9B3a059eb9A0a30d419d09C7F7d8"
	named   = `"id":"` + someID + `","address":"` + someone + `","account":"` + someone + `","wallet":"eoa",`
)

// lineOf is a line of an export whose members are replaced.
func lineOf(user, rest string) string {
	return `{"user":{` + user + `"roles":["user","editor"],"permissions":["posts:write"]},"sessions":1,` + rest + `}`
}

func TestParseLine(t *testing.T) {
	withoutRoles := strings.Replace(lineOf(named, `"blocked":true`), `["user","editor"]`, `["user"]`, 1)
	contract := strings.NewReplacer(`"account":"0x`, `"account":"eip155:10:0x`, "eoa", "contract").Replace(named)
	for _, c := range []struct{ text, want string }{
		{lineOf(named, `"blocked":false`), someone + " roles editor"},
		{lineOf(`"id":"`+someID+`",`, `"blocked":true,"note":"a \u2764"`),
			someID + " roles editor; blocked, with a note"},
		{lineOf(named, `"blocked":true,"storedRoles":[]`), someone + " no roles; blocked"},
		{withoutRoles, someone + " no roles; blocked"},
		{lineOf(contract, `"blocked":false,"lastSeenAt":"x","blockedAt":"y"`),
			"eip155:10:" + someone + " roles editor"},
	} {
		a, next, err := parseLine([]byte(c.text))
		got := a.String() + " " + a.describe()
		if got != c.want || next != nil || err != nil || a.user.String() != someID {
			t.Errorf("%s: %s, %v, %v, want %s", c.text, got, next, err, c.want)
		}
	}
	if _, next, err := parseLine([]byte(`{"next":"AAn-_"}`)); err != nil || next == nil || *next != "AAn-_" {
		t.Errorf("a cursor: %v, %v", next, err)
	}
}

// A file with a wrong line is refused before anything is changed. The error
// names the line.
func TestRestore_refusesFiles(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	good := lineOf(named, `"blocked":false`)
	for text, says := range map[string]string{
		"":               "it is not one JSON object",
		"{":              "it is not one JSON object",
		good + good:      "it is not one JSON object",
		"[" + good + "]": "it is not one JSON object",
		"null":           "user.roles is missing",
		"{}":             "user.roles is missing",
		`{"user":{"id":"` + otherID + `"},"blocked":true}`:                          "user.roles is missing",
		lineOf(named, `"sessionz":1`):                                               `"/sessionz" is not a member`,
		lineOf(named, `"Blocked":true`):                                             `"/Blocked" is not a member`,
		lineOf(named, `"blocked":false,"blocked":true`):                             "or has a member twice",
		lineOf(named, `"blocked":"secret"`):                                         `"/blocked" has a value of another type`,
		lineOf(named, `"blocked":null`):                                             "blocked is missing",
		lineOf(named, `"lastSeenAt":""`):                                            "blocked is missing",
		lineOf(named, `"blocked":false,"note":"secret"`):                            "note is there without a block",
		lineOf(named, `"blocked":true,"note":"secret\n"`):                           "note must be up to 200",
		lineOf(named, `"blocked":true,"note":"secret`+strings.Repeat("x", 200)+`"`): "note must be up to 200",
		lineOf(named, "\"blocked\":true,\"note\":\"secret\xff\""):                   "it is not one JSON object",
		lineOf(named, `"blocked":true,"next":"AAA"`):                                "next must be a cursor",
		`{"next":""}`:                                                       "next must be a cursor",
		`{"next":"A\u001b]0;secret\u0007"}`:                                 "next must be a cursor",
		strings.Replace(good, `"editor"`, `"Editor"`, 1):                    `"Editor" is not the name of a role`,
		strings.Replace(good, `"editor"`, `"editor","editor"`, 1):           `"editor" is there twice`,
		strings.Replace(good, someID, someID+"A", 1):                        "is not a user id",
		strings.Replace(good, someID, "../../profile", 1):                   "is not a user id",
		strings.Replace(good, someID, someone, 1):                           "is not a user id",
		strings.Replace(good, `"account":"`+someone+`",`, "", 1):            "user.account is missing",
		strings.Replace(good, `"account":"0x`, `"account":"0y`, 1):          "is not an account",
		strings.Replace(good, `"account":"0x`, `"account":"eip155:1:0x`, 1): "do not belong together",
		strings.Replace(good, `"address":"0x5E`, `"address":"0x5F`, 1):      "do not belong together",
		strings.Replace(good, `"account":"0x5E`, `"account":"0x5e`, 1):      "is not an account",
		good: "it is the account of line 1 again",

		lineOf(named, `"blocked":false,"storedRoles":["admin"]`): `storedRoles has "admin", which user.roles lacks`,
	} {
		file := filepath.Join(t.TempDir(), "export")
		write(t, file, good+"\n"+text+"\n"+strings.Replace(good, someID, otherID, 1)+"\n")
		got := w.run("lka_unused", file).fails("is not an export, and nothing was changed:\nline 2: ", says)
		if strings.Contains(got.all(), "secret") || strings.Contains(got.all(), "line 3") {
			t.Errorf("%s: the run writes %s", text, got.all())
		}
	}
	equal(t, "requests", w.requests.Load(), int64(0))
	file := filepath.Join(t.TempDir(), "export")
	write(t, file, strings.Repeat("{\n", 30))
	if got := w.run("lka_unused", file).fails("line 10:"); strings.Contains(got.all(), "line 11:") {
		t.Errorf("more lines than anybody reads: %s", got.all())
	}
	write(t, file, good+"\n"+strings.Repeat(" ", maxLine+1))
	w.run("lka_unused", file).fails("line 2: ", "too long")
	w.run("lka_unused", file+"s").fails("no such file")
	write(t, file, "")
	w.run("lka_unused", file).fails("has no accounts")
}

// A line that is accepted names one account, and what it was read as is read as
// the same again.
func FuzzParseLine(f *testing.F) {
	for _, text := range []string{
		lineOf(named, `"blocked":false`), lineOf(`"id":"`+someID+`",`, `"blocked":true,"note":"x"`),
		`{"next":"AAn-_"}`, lineOf(named, `"blocked":true,"storedRoles":[]`), "{}", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		a, next, err := parseLine(line)
		if err != nil || next != nil {
			return
		}
		if strings.Trim(a.String(), "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_:") != "" {
			t.Errorf("%q leads to %q", line, a)
		}
		if a.note != "" && !a.blocked {
			t.Errorf("%q has a note without a block", line)
		}
		user := fmt.Sprintf(`"id":%q,`, a.user)
		if a.isNamed() {
			address, account := a.account.Names()
			user += fmt.Sprintf(`"address":%q,"account":%q,"wallet":%q,`, address, account, a.account.Wallet())
		}
		again, _, err := parseLine([]byte(lineOf(user, fmt.Sprintf(`"blocked":%t`, a.blocked))))
		if err != nil || again.String() != a.String() || again.user != a.user || again.blocked != a.blocked {
			t.Errorf("%q was read as %v, and again as %v, %v", line, a, again, err)
		}
	})
}
