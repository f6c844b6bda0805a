package upgrade_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

var update = flag.Bool("update", false, "write the fixtures anew, by running the releases")

// fixture is what a release has stored, and what it answered then. The values
// are beside it, as a dump. Its session keys are samples that only
// APP_ENV=local accepts.
type fixture struct {
	Version, Commit string
	// WrittenAt is the time of the dump. All sessions are valid then.
	WrittenAt time.Time
	// Variables are the configuration, without the address of Redis.
	Variables map[string]string
	// Members are sessions by names that say what is special about each.
	Members map[string]*member
	// Bodies are signed messages by name, for a login or step-up.
	Bodies map[string]map[string]string
	// Answers are those to requests that change nothing, in a file of their own.
	Answers []fixtureAnswer `json:"-"`
}

// fixtureAnswer is a request and how the release answered it.
type fixtureAnswer struct {
	Member string
	Path   string // after GET
	Status int
	ETag   string `json:",omitempty"`
	Body   json.RawMessage
}

func (a fixtureAnswer) answer() answer {
	return answer{status: a.Status, header: http.Header{"Etag": {a.ETag}}, text: string(a.Body)}
}

func fixturePath(version, extension string) string {
	return filepath.Join("testdata", version+extension)
}

// TestFixture opens what each release has stored. With -update it first writes
// the fixtures anew.
func TestFixture(t *testing.T) {
	for _, r := range releases {
		t.Run(r.version, func(t *testing.T) {
			if *update {
				t.Run("write", func(t *testing.T) { r.writeFixture(t) })
			}
			t.Run("complete", func(t *testing.T) {
				_, commands := r.readFixture(t)
				testComplete(t, commands)
			})
			redistest.EachSingle(t, func(t *testing.T, on redistest.Redis) {
				if on.Mini != nil {
					on.Mini.ClockTTL(false) // it would look at every key at each command
				}
				f, commands := r.readFixture(t)
				testOpens(t, f, commands, on.Under(t, f.Variables["REDIS_KEY_PREFIX"]))
			})
		})
	}
}

// readFixture returns the fixture of a release and its dump.
func (r release) readFixture(t *testing.T) (f fixture, commands []command) {
	t.Helper()
	read := func(extension string) []byte {
		text, err := os.ReadFile(fixturePath(r.version, extension))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := json.Unmarshal(read(".json"), &f); err != nil {
		t.Fatal(err)
	}
	if f.Version != r.version || f.Commit != r.commit {
		t.Fatalf("the fixture is of version %s, commit %s", f.Version, f.Commit)
	}
	for line := range bytes.Lines(read(".answers")) {
		var a fixtureAnswer
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatal(err)
		}
		f.Answers = append(f.Answers, a)
	}
	return f, parseDump(t, string(read(".redis")))
}

// writeFixture lets a release store every kind of value that it has.
func (r release) writeFixture(t *testing.T) {
	t.Helper()
	old, _ := r.build(t)
	w := newFixtureWriter(t, r, old)
	w.write()
	f := w.fixture
	f.WrittenAt = time.Now().UTC().Truncate(time.Millisecond)
	stored := dump(t, w.deployment.redis)
	w.record()
	for line := range strings.Lines(dump(t, w.deployment.redis)) {
		if !strings.HasPrefix(line, "PEXPIRE") && !strings.Contains(stored, line) {
			t.Fatalf("something has been written since, maybe by a sweep; try again: %s", line)
		}
	}
	w.server.stop(t)
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	var answers strings.Builder
	for _, a := range f.Answers {
		if err := json.NewEncoder(&answers).Encode(a); err != nil {
			t.Fatal(err)
		}
	}
	for extension, content := range map[string]string{
		".json": string(text) + "\n", ".redis": stored, ".answers": answers.String(),
	} {
		if err := os.WriteFile(fixturePath(r.version, extension), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fixtureWriter is a release that stores a fixture.
type fixtureWriter struct {
	*fixture
	t          *testing.T
	version    version
	deployment deployment
	server     *server
	admin      *member
}

// refreshLimit is how often an account of the fixture may refresh in a minute.
const refreshLimit = 5

func newFixtureWriter(t *testing.T, r release, v version) *fixtureWriter {
	t.Helper()
	admin := newMember(t, "bearer")
	on := redistest.Server(t).Under(t, "fixture")
	host, port, err := net.SplitHostPort(on.Addr)
	if err != nil {
		t.Fatal(err)
	}
	variables := append(administered(admin), "APP_ENV=local", "REDIS_KEY_PREFIX="+on.Prefix,
		"SESSION_SECRET="+sampleSecret, "SESSION_ENCRYPTION_KEY="+sampleKey,
		"SIWE_DOMAINS="+domain, "STEP_UP_MINUTES=60",
		"SESSION_TOUCH_SECONDS=600", // so that recording the answers writes nothing
		"RATE_LIMIT_NONCE_PER_MINUTE=1000", "RATE_LIMIT_LOGIN_PER_MINUTE=1000",
		fmt.Sprint("RATE_LIMIT_REFRESH_PER_MINUTE=", refreshLimit))
	w := &fixtureWriter{
		t: t, version: v, admin: admin,
		fixture: &fixture{
			Version: r.version, Commit: r.commit, Variables: map[string]string{},
			Members: map[string]*member{"admin": admin}, Bodies: map[string]map[string]string{},
		},
	}
	for _, pair := range variables {
		name, value, _ := strings.Cut(pair, "=")
		w.Variables[name] = value
	}
	w.deployment = deployment{redis: on, variables: append(variables, "REDIS_HOST="+host,
		"REDIS_PORT="+port, "REDIS_USERNAME="+on.Username, "REDIS_PASSWORD="+on.Password)}
	w.server = w.deployment.start(t, v)
	return w
}

// add signs in a member under a name.
func (w *fixtureWriter) add(name string, m *member) *member {
	w.t.Helper()
	w.Members[name] = m.signIn(w.t, w.server)
	return m
}

// new is add for a new bearer client.
func (w *fixtureWriter) new(name string) *member {
	w.t.Helper()
	return w.add(name, newMember(w.t, "bearer"))
}

// ask sends a request to the release, which must succeed.
func (w *fixtureWriter) ask(m *member, method, path string, body any, headers ...string) answer {
	w.t.Helper()
	return m.ask(w.t, w.server, method, path, body, headers...).ok(w.t)
}

// with runs a server with other variables.
func (w *fixtureWriter) with(run func(), variables ...string) {
	w.t.Helper()
	usual, d := w.server, w.deployment
	d.variables = slices.Concat(d.variables, variables)
	w.server = d.start(w.t, w.version)
	run()
	w.server.stop(w.t)
	w.server = usual
}

// record asks the release for everything that it shows, and stores the answers.
func (w *fixtureWriter) record() {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(w.Members)) {
		m := w.Members[name]
		w.recordAnswer("admin", "/api/admin/users/"+m.address())
		w.recordAnswer("admin", "/api/admin/activity?address="+m.address())
		if w.recordAnswer(name, "/api/profile") == http.StatusOK {
			w.recordAnswer(name, "/api/sessions")
		}
		if name == "state" {
			w.recordAnswer(name, "/api/state")
			w.recordAnswer(name, "/api/state/form.1")
			w.recordAnswer(name, "/api/state/text")
		}
	}
	w.recordAnswer("preferences", "/api/preferences")
	w.recordAnswer("preferences", "/api/activity")
	w.recordAnswer("admin", "/api/admin/sessions")
}

// recordAnswer stores the answer to a request of a member, and returns its
// status.
func (w *fixtureWriter) recordAnswer(name, path string) int {
	w.t.Helper()
	a := w.Members[name].ask(w.t, w.server, "GET", path, nil)
	w.Answers = append(w.Answers, fixtureAnswer{
		Member: name, Path: path, Status: a.status, ETag: a.header.Get("ETag"),
		Body: json.RawMessage(a.text),
	})
	return a.status
}
