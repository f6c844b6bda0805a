package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"latchkey/local/test/redistest"
)

func TestRun_refuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "export")
	write(t, file, lineOf(named, `"blocked":false`)+"\n")
	secret := "lka_" + strings.Repeat("s", 119)
	const api = "https://a.example"
	for name, c := range map[string]struct {
		in   string
		args []string
		says string
	}{
		"no file":           {secret, []string{"-url", api}, "name one file"},
		"two files":         {secret, []string{"-url", api, file, file}, "name one file"},
		"a flag after it":   {secret, []string{file, "-url", api}, "name one file, after all flags"},
		"an unknown flag":   {secret, []string{"-force", file}, "-force"},
		"the token as flag": {"", []string{"-token", "x", file}, "-token"},
		"no address":        {secret, []string{file}, "-url must be the address"},
		"no scheme":         {secret, []string{"-url", "api.example.com", file}, "-url must be the address"},
		"plain text":        {secret, []string{"-url", "http://api.example.com", file}, "-url must begin with https://"},
		"a name like it": {secret, []string{"-url", "http://localhost.example.com", file},
			"-url must begin with https://"},
		"another scheme": {secret, []string{"-url", "ftp://localhost", file}, "-url must begin with https://"},
		"a password":     {secret, []string{"-url", "https://me:pass@a.example", file}, "-url must be the address"},
		"a query":        {secret, []string{"-url", api + "/?x", file}, "-url must be the address"},
		"a partial export": {secret, []string{"-url", api, "-export", "-partial", file + "2"},
			"-partial is for a restore"},
		"an existing file":     {secret, []string{"-url", api, "-export", file}, "exists already"},
		"no token":             {"", []string{"-url", api, file}, "no access token"},
		"a refresh token":      {"lkr_secret", []string{"-url", api, file}, "no access token"},
		"a token with a space": {"lka_secret secret", []string{"-url", api, file}, "no access token"},
		"a file for a token": {"lka_" + strings.Repeat("\u00e9secret", 9000),
			[]string{"-url", api, "-export", file + "2"}, "no access token"},
	} {
		if got := runWith(t, c.in, c.args...).fails(c.says); strings.Contains(got.all(), "secret") {
			t.Errorf("%s: it writes the token: %s", name, got.all())
		}
	}
	for _, left := range []string{file + "2", file + "2.unfinished"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is there", left)
		}
	}
	broken := errors.New("broken pipe")
	err := run(t.Context(), []string{"-url", api, file},
		iotest.ErrReader(broken), io.Discard, io.Discard, sleep)
	if !errors.Is(err, broken) {
		t.Errorf("standard input that cannot be read: %v", err)
	}
}

func TestRun_help(t *testing.T) {
	var out, errs bytes.Buffer
	err := run(t.Context(), []string{"-help"}, nil, &out, &errs, sleep)
	text := errs.String()
	if err != nil || out.Len() > 0 || !strings.Contains(text, usage) || !strings.Contains(text, "-partial") {
		t.Errorf("%v, printed %q and %q", err, out.String(), text)
	}
}

func TestReadURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://api.example.com/":     "https://api.example.com",
		"https://api.example.com/v1//": "https://api.example.com/v1",
		"http://localhost:3000":        "http://localhost:3000",
		"http://127.8.0.1:1":           "http://127.8.0.1:1",
		"http://[::1]:3000/":           "http://[::1]:3000",
	} {
		if got, err := readURL(text); got != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

// An interrupt ends the run at once, and the next goes on.
func TestRun_interrupted(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	w.deleteAll()
	access := w.token(w.admin)
	w.during(func(rw http.ResponseWriter, _ *http.Request, n int64) bool {
		return n > 4 && refuse(rw, 503, "unavailable")
	}, func() {
		ctx, cancel := context.WithCancel(t.Context())
		err := run(ctx, []string{"-url", w.server.URL, file},
			strings.NewReader(access), io.Discard, io.Discard, cancelling(cancel))
		if err == nil || !strings.Contains(err.Error(), "interrupted: run the same command again") {
			t.Errorf("it ended with %v", err)
		}
	})
	w.run(access, file).succeeds("left 0 of 7")
	equal(t, "restored", w.list(access), before)
}

// An export is complete or not there, and only its owner can read it.
func TestExport(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	info, err := os.Stat(file)
	must(t, err)
	equal(t, "mode", info.Mode().Perm(), os.FileMode(0o600))
	equal(t, "lines", strings.Count(read(t, file), "\n"), len(before))
	if text := read(t, file); strings.Contains(text, `"next"`) || !strings.Contains(text, "Sends spam \u2764") {
		t.Errorf("the export is %s", text)
	}
	access := w.token(w.admin)
	for range 101 { // more than a page
		w.give(access, newSigner(t).account.String(), "editor")
	}
	large := file + "-large"
	w.run(access, "-export", large).succeeds("Exported 108 accounts")
	contents, err := readFile(large)
	must(t, err)
	equal(t, "accounts", len(contents.accounts), 108)
	for name, answer := range map[string]func(rw http.ResponseWriter) bool{
		"a lost second page":                drop,
		"a refusal":                         func(rw http.ResponseWriter) bool { return refuse(rw, 403, "forbidden") },
		"another text":                      func(rw http.ResponseWriter) bool { rw.Write([]byte("<html>\x1b[31m")); return true },
		"an empty answer of something else": func(rw http.ResponseWriter) bool { rw.Header().Set("Content-Type", "text/html"); return true },
		"no answer":                         func(rw http.ResponseWriter) bool { rw.WriteHeader(204); return true },
		"a cut page": func(rw http.ResponseWriter) bool {
			rw.Header().Set("Content-Length", "100")
			rw.Write([]byte(`{"next":"x"}`))
			return true
		},
	} {
		part := file + "-part"
		var got result
		w.during(func(rw http.ResponseWriter, _ *http.Request, n int64) bool { return n > 1 && answer(rw) }, func() {
			got = w.run(access, "-export", part).fails("the export is not complete")
		})
		for _, path := range []string{part, part + ".unfinished"} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s: %v", name, path, err)
			}
		}
		if strings.ContainsAny(got.all(), "\x1b") || strings.Contains(got.all(), access) {
			t.Errorf("%s: it writes %q", name, got.all())
		}
	}
	w.during(func(rw http.ResponseWriter, _ *http.Request, _ int64) bool {
		rw.Header().Set("Content-Type", "application/x-ndjson")
		rw.Write([]byte(`{"next":"AAn"}` + "\n"))
		return true
	}, func() { w.run(access, "-export", file+"-loop").fails("answers with the same page again") })
}

// What has the name of the unfinished export does not become the export: others may read and write it.
func TestExport_leftFiles(t *testing.T) {
	w, file, before := populated(t, redistest.Embedded(t))
	access := w.token(w.admin)
	for name, link := range map[string]func(from, to string) error{"symbolic": os.Symlink, "hard": os.Link} {
		left, again := file+"-left-"+name, file+"-"+name
		must(t, os.WriteFile(left, []byte("left"), 0o644))
		must(t, link(left, again+".unfinished"))
		w.run(access, "-export", again).succeeds("Exported 7 accounts")
		info, err := os.Lstat(again)
		must(t, err)
		equal(t, name+": mode", info.Mode(), os.FileMode(0o600))
		equal(t, name+": lines", strings.Count(read(t, again), "\n"), len(before))
		equal(t, name+": what was left", read(t, left), "left")
	}
}

// What a server answers is printed as one line of text, without the token.
func TestRun_hostileAnswers(t *testing.T) {
	w, file, _ := populated(t, redistest.Embedded(t))
	access := w.token(w.admin)
	w.during(func(rw http.ResponseWriter, r *http.Request, n int64) bool {
		rw.WriteHeader([]int{403, 409, 500}[n%3])
		detail := `\u001b]0;x\u0007\nline 9: restored ` + access + strings.Repeat("x", 9000)
		rw.Write([]byte(`{"code":"forbidden","detail":"` + detail + `","permission":"\u202e"}`))
		return true
	}, func() {
		text := w.run(access, file).fails("forbidden").all()
		isUnclean := strings.ContainsAny(text, "\x1b\x07\u202e") || strings.Contains(text, "\nline 9")
		if isUnclean || strings.Contains(text, access) || len(text) > 9000 {
			t.Errorf("it writes %q", text)
		}
	})
}

// The commands of the page are valid, and do what it says.
func TestRun_commandsOfThePage(t *testing.T) {
	w, _, before := populated(t, redistest.Embedded(t))
	command := regexp.MustCompile(`(?m)^token \| go run ./local/restore (.+)$`)
	commands := command.FindAllStringSubmatch(read(t, "../../docs/backup.md"), -1)
	if len(commands) != 2 {
		t.Fatalf("the page has %d commands", len(commands))
	}
	file := filepath.Join(t.TempDir(), "accounts.ndjson")
	for i, says := range []string{"Exported 7 accounts", "Restored 7,"} {
		if i == 1 {
			w.deleteAll()
		}
		args := strings.Fields(strings.NewReplacer(`"$api"`, w.server.URL, "accounts.ndjson", file).Replace(commands[i][1]))
		runWith(t, w.token(w.admin)+"\n", args...).succeeds(says)
	}
	equal(t, "restored", w.list(w.token(w.admin)), before)
}
