package boot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"go.yaml.in/yaml/v3"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/boot"
)

// savedQueries returns the text of each query that the template saves, by its
// name, and the format of API Gateway's access log.
func savedQueries(t *testing.T) (queries map[string]string, accessLog string) {
	t.Helper()
	var file struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Name              string `yaml:"Name"`
				QueryString       string `yaml:"QueryString"`
				AccessLogSettings struct {
					Format string `yaml:"Format"`
				} `yaml:"AccessLogSettings"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	queries = map[string]string{}
	for _, r := range file.Resources {
		if r.Type == "AWS::Logs::QueryDefinition" {
			queries[strings.TrimPrefix(r.Properties.Name, "${AWS::StackName}/")] = r.Properties.QueryString
		}
	}
	return queries, file.Resources["Api"].Properties.AccessLogSettings.Format
}

// testQueries runs every saved query over the lines that functions write when
// people sign in, admins act, tokens are stolen and Redis is away. Every field
// that a query names is in a line that it finds, and so is every value that its
// filters compare with.
func testQueries(t *testing.T, binaries string) {
	queries, accessLog := savedQueries(t)
	t.Run("rotations", func(t *testing.T) { checkQuery(t, queries["rotations"], rotationLines(t, binaries)) })
	delete(queries, "rotations")
	lines := slices.Concat(storyLines(t, binaries), chainLines(t), othersLines(accessLog))
	for name, text := range queries {
		t.Run(name, func(t *testing.T) { checkQuery(t, text, lines) })
	}
	if len(queries) < 10 {
		t.Errorf("only %d queries were found", len(queries))
	}
}

// checkQuery checks a query over lines. In place of ID it tries the id of an
// account, of a session and of a request.
func checkQuery(t *testing.T, text string, lines []logLine) {
	t.Helper()
	var kept []logLine
	if strings.Contains(text, `"ID"`) {
		for _, field := range []string{"userId", "sessionId", "requestId"} {
			at := slices.IndexFunc(lines, func(l logLine) bool { return l[field] != "" })
			kept = append(kept, runQuery(t, strings.Replace(text, `"ID"`, `"`+lines[at][field]+`"`, 1), lines)...)
		}
	} else {
		kept = runQuery(t, text, lines)
	}
	q := parseInsights(t, text)
	var known []string
	for _, command := range q.commands {
		fields, made := q.names(command)
		for _, field := range fields {
			isIn := func(l logLine) bool { return l[field] != "" }
			if !slices.Contains(known, field) && !slices.ContainsFunc(kept, isIn) {
				t.Errorf("%s is in none of the %d lines that the query finds", field, len(kept))
			}
		}
		known = append(known, made...)
	}
}

// runQuery returns the lines that a query finds. Each value that a filter
// compares with is in one of them.
func runQuery(t *testing.T, text string, lines []logLine) []logLine {
	t.Helper()
	kept, conditions := parseInsights(t, text).run(lines)
	if len(conditions) == 0 {
		t.Error("the query has no filter")
	}
	for _, c := range conditions {
		if !slices.ContainsFunc(kept, c.holds) {
			t.Errorf("%s holds for none of the %d lines that the query finds", c.text, len(kept))
		}
	}
	return kept
}

// linesOf returns what a function has written.
func linesOf(outputs ...*lambdatest.Output) (lines []logLine) {
	for _, out := range outputs {
		for line := range strings.Lines(out.String()) {
			lines = append(lines, newLogLine(strings.TrimSpace(line)))
		}
	}
	return lines
}

// storyLines returns what the functions write in a story with something of
// everything: people who sign in and who fail, a stolen token, an admin, a sweep,
// and a Redis that is away at the end.
func storyLines(t *testing.T, binaries string) (lines []logLine) {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	server, s := redistest.ServerWith(t), system{}
	env := append(environment(t, server.Redis), "EVENTS=log", "ADMIN_ADDRESSES="+crypto.PubkeyToAddress(key.PublicKey).Hex())
	for _, name := range []string{"issue-nonce", "log-in", "step-up", "refresh-session", "get-profile", "set-roles", "block-user", "unblock-user",
		"sweep-sessions"} {
		s[name] = startFunction(t, filepath.Join(binaries, name), env...)
	}
	ask := func(query string) lambdatest.Response { return s.nonce(t, query) }
	admin := tokensOf(t, s.post(t, "log-in", "/auth/login", signedBy(t, key, ask)))
	s.steal(t)
	s.administer(t, admin)
	if failure := s.sweep(t); failure != "" {
		t.Fatal(failure)
	}
	s["publish-events"] = startFunction(t, filepath.Join(binaries, "publish-events"), append(env, "EVENTS=webhook",
		"EVENT_WEBHOOK_URL=https://127.0.0.1:1/", "EVENT_WEBHOOK_SECRET="+webhookSecret)...)
	if failure := s.publish(t); failure != "" { // nobody answers, and the events stay
		t.Fatal(failure)
	}
	server.Stop()
	wantStatus(t, s.profile(t, admin.AccessToken), http.StatusServiceUnavailable)
	if s.sweep(t) == "" {
		t.Error("a sweep without Redis succeeded")
	}
	if s.publish(t) == "" {
		t.Error("a publisher without Redis succeeded")
	}
	unset := startFunction(t, filepath.Join(binaries, "log-in"))
	unset.ExitStatus(t)
	for _, f := range s {
		lines = append(lines, linesOf(f.Output)...)
	}
	return append(lines, linesOf(unset.Output)...)
}

// steal has people fail to sign in and to step up, and uses a superseded refresh
// token from another device.
func (s system) steal(t *testing.T) {
	t.Helper()
	wrong := s.signed(t)
	wrong["signature"] = s.signed(t)["signature"]
	wantStatus(t, s.post(t, "log-in", "/auth/login", wrong), http.StatusUnauthorized)
	victim := s.login(t)
	body := fmt.Sprintf(`{"message":%q,"signature":%q}`, wrong["message"], wrong["signature"])
	call := memberCall{name: "step-up", method: "POST", route: "/auth/step-up", body: body}
	wantStatus(t, s.member(t, call, victim.AccessToken), http.StatusUnauthorized)
	tokensOf(t, s.refresh(t, victim.RefreshToken))
	thief := lambdatest.NewEvent("POST", "/auth/refresh")
	thief.Body, thief.Headers["content-type"] = fmt.Sprintf(`{"refreshToken":%q}`, victim.RefreshToken), "application/json"
	thief.Headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	thief.RequestContext.HTTP.UserAgent = thief.Headers["user-agent"]
	wantProblem(t, s["refresh-session"].invoke(t, thief), http.StatusUnauthorized, "session_ended")
}

// administer has an admin give a role to an account with a session, block and
// unblock it, and take the role away.
func (s system) administer(t *testing.T, admin tokens) {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	address := crypto.PubkeyToAddress(key.PublicKey).Hex()
	ask := func(query string) lambdatest.Response { return s.nonce(t, query) }
	tokensOf(t, s.post(t, "log-in", "/auth/login", signedBy(t, key, ask)))
	take := memberCall{name: "set-roles", method: "PUT", route: "/api/admin/users/{address}/roles", body: `{"roles":[]}`}
	for _, call := range append(slices.Clone(memberCalls), take) {
		if slices.Contains([]string{"set-roles", "block-user", "unblock-user"}, call.name) {
			call.value = address
			if r := s.member(t, call, admin.AccessToken); r.StatusCode >= 300 {
				t.Fatalf("%s answered %d %s", call.name, r.StatusCode, r.Body)
			}
		}
	}
}

// chainLines returns what the verifier writes if a chain does not answer, and if
// a URL serves another chain. The line of the Redis client is with them.
func chainLines(t *testing.T) []logLine {
	t.Helper()
	var log lambdatest.Output
	silent, other := newRPC(t, "0x1"), newRPC(t, "0x5")
	trouble := troubles()["status 500"]
	silent.trouble.Store(&trouble)
	for _, n := range []*rpc{silent, other} {
		f, err := boot.NewVerifier(environmentOf(map[string]string{"APP_ENV": "local", "ETHEREUM_RPC": n.urls()}, "", "", &log), &log)
		if err != nil {
			t.Fatal(err)
		}
		event := fmt.Sprintf(`{"chain":1,"account":%q,"digest":"0x%s","signature":"0x"}`, somebody, strings.Repeat("00", 32))
		if _, err := f.Invoke(context.Background(), []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	boot.LogClient(boot.NewLogger(&log), "connection pool: failed to dial")
	return linesOf(&log)
}

var contextVariable = regexp.MustCompile(`\$context\.[A-Za-z.]+`)

// othersLines returns lines that the functions do not write: API Gateway's of a
// request that failed, in the template's format, and Lambda's own.
func othersLines(accessLog string) []logLine {
	return []logLine{
		newLogLine(contextVariable.ReplaceAllString(accessLog, "503")),
		newLogLine("2026-11-25T10:00:00.000Z 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Task timed out after 10.01 seconds"),
	}
}

// rotationLines returns what the function that rotates keys writes, also if a
// step fails and if it is not configured.
func rotationLines(t *testing.T, binaries string) []logLine {
	t.Helper()
	v := newVault(t)
	env := []string{"SESSION_KEYS_SECRET_ARN=" + v.ARN, "SIWE_DOMAIN=x", "AWS_ENDPOINT_URL=" + v.Getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER")}
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		env = append(env, name+"="+v.Getenv(name))
	}
	f := startFunction(t, filepath.Join(binaries, "rotate-keys"), env...)
	if got := f.Invoke(t, awstest.RotationStep("createSecret", v.ARN, v.Ask())); got.Failed {
		t.Fatalf("a step failed: %s", got.Payload)
	}
	if got := f.Invoke(t, awstest.RotationStep("createSecret", v.ARN, "unknown")); !got.Failed {
		t.Fatalf("an unknown token is accepted: %s", got.Payload)
	}
	unset := startFunction(t, filepath.Join(binaries, "rotate-keys"))
	unset.ExitStatus(t)
	return linesOf(f.Output, unset.Output)
}

// The reader of queries takes filters and patterns apart as CloudWatch does.
func TestInsights(t *testing.T) {
	const text = `parse path /^(?<first>a|b)/ | filter (kind in ["x", "y"] or ispresent(list.0)) and @message like "path"
  | fields coalesce(first, kind) as what | stats count(*) as n by what, path | sort n desc | limit 5`
	var lines []logLine
	for _, value := range []any{
		map[string]any{"path": "a/1", "kind": "x"}, map[string]any{"path": "c", "list": []string{"one"}},
		map[string]any{"path": "b/2", "kind": "z"}, map[string]any{"kind": "y"},
	} {
		line, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, newLogLine(string(line)))
	}
	q := parseInsights(t, text)
	kept, conditions := q.run(lines)
	var holding []string
	for _, c := range conditions {
		if slices.ContainsFunc(kept, c.holds) {
			holding = append(holding, c.text)
		}
	}
	if len(kept) != 2 || kept[0]["first"] != "a" || kept[1]["list.0"] != "one" || kept[1]["first"] != "" {
		t.Errorf("kept %v", kept)
	}
	if want := []string{"kind = x", "ispresent list.0", `@message like "path"`}; !slices.Equal(holding, want) {
		t.Errorf("%q hold, want %q", holding, want)
	}
	fields, made := q.names(q.commands[2])
	if !slices.Equal(fields, []string{"first", "kind"}) || !slices.Equal(made, []string{"what"}) {
		t.Errorf("reads %q, makes %q", fields, made)
	}
}
