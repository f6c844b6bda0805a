package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"latchkey/local/test/report"
)

// runbook is the page that says for every alarm what to do.
const runbook = "docs/runbook.md"

// alarmName matches the logical id of an alarm.
var alarmName = regexp.MustCompile(`\b[A-Z]\w*Alarm\b`)

// alarms returns the description of every alarm of template.yaml by its logical
// id.
func alarms(t *testing.T) map[string]string {
	t.Helper()
	var parsed struct {
		Resources yaml.Node `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &parsed); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	addAlarms(t, found, &parsed.Resources, strings.NewReplacer())
	return found
}

// addAlarms adds the alarms of a mapping from logical ids to resources. The
// replacer puts in the values of the loops that the mapping is in.
func addAlarms(t *testing.T, found map[string]string, resources *yaml.Node, loop *strings.Replacer) {
	t.Helper()
	for i := 0; i+1 < len(resources.Content); i += 2 {
		id, value := resources.Content[i].Value, resources.Content[i+1]
		if strings.HasPrefix(id, "Fn::ForEach::") {
			addLoop(t, found, id, value)
			continue
		}
		switch member(value, "Type").Value {
		case "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm":
			description := member(member(value, "Properties"), "AlarmDescription").Value
			found[loop.Replace(id)] = loop.Replace(description)
		}
	}
}

// addLoop adds the alarms of an Fn::ForEach: a variable, its values, and a
// mapping to repeat for each of them.
func addLoop(t *testing.T, found map[string]string, id string, loop *yaml.Node) {
	t.Helper()
	if len(loop.Content) != 3 || loop.Content[1].Kind != yaml.SequenceNode {
		t.Fatalf("%s: only a list of values can be repeated here", id)
	}
	for _, value := range loop.Content[1].Content {
		name := loop.Content[0].Value
		addAlarms(t, found, loop.Content[2], strings.NewReplacer("${"+name+"}", value.Value, "&{"+name+"}", value.Value))
	}
}

// member returns a member of a mapping, or an empty node if there is no such
// member.
func member(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return new(yaml.Node)
}

// runbookEntries returns the alarms that have an entry: those in a heading, and
// those in the first column of a table.
func runbookEntries(text string) []string {
	entries := map[string]bool{}
	for line := range strings.Lines(text) {
		if cell, isRow := strings.CutPrefix(line, "| "); isRow {
			line, _, _ = strings.Cut(cell, " |")
		} else if !strings.HasPrefix(line, "#") {
			continue
		}
		for _, name := range alarmName.FindAllString(line, -1) {
			entries[name] = true
		}
	}
	return slices.Collect(maps.Keys(entries))
}

func TestRunbook_everyAlarm(t *testing.T) {
	text, descriptions := read(t, runbook), alarms(t)
	if len(descriptions) < 30 {
		t.Fatalf("template.yaml has only %d alarms", len(descriptions))
	}
	declared := slices.Collect(maps.Keys(descriptions))
	same(t, "template.yaml", declared, runbook, runbookEntries(text))
	for _, name := range alarmName.FindAllString(text, -1) {
		if _, ok := descriptions[name]; !ok {
			t.Errorf("%s names %s, which template.yaml does not have", runbook, name)
		}
	}
}

var (
	// described matches the description of an alarm: what it means, the log query
	// to run, what to do, and the link.
	described = regexp.MustCompile(`^[A-Z].*\. Run the log query \$\{AWS::StackName\}/([a-z-]+)\b.+: \$\{RunbookUrl\}#(alarm-[a-z-]+)$`)
	// savedQuery matches a command of the runbook that runs a saved query.
	savedQuery = regexp.MustCompile("(?m)(?:^|`)saved [0-9]+ ([a-z-]+)")
	// anchor matches an anchor before a heading.
	anchor = regexp.MustCompile(`(?m)^<a id="([^"]+)"></a>\n\n## `)
)

// The description of every alarm names a saved query and ends with the link to
// the section that has the alarm. That section runs this query.
func TestRunbook_descriptions(t *testing.T) {
	sections := map[string]string{}
	text := read(t, runbook)
	for _, at := range anchor.FindAllStringSubmatchIndex(text, -1) {
		section, _, _ := strings.Cut(text[at[1]:], "\n## ")
		sections[text[at[2]:at[3]]] = section
	}
	linked := map[string]bool{}
	for id, description := range alarms(t) {
		m := described.FindStringSubmatch(description)
		if m == nil {
			t.Errorf("the description of %s does not name a log query, or does not end with a link: %q", id, description)
			continue
		}
		query, link := m[1], m[2]
		linked[link] = true
		if !slices.Contains(alarmName.FindAllString(sections[link], -1), id) {
			t.Errorf("%s: #%s leads to no section of %s that names it", id, link, runbook)
		}
		if !runsQuery(sections[link], query) {
			t.Errorf("%s: #%s in %s does not run the query %s", id, link, runbook, query)
		}
	}
	same(t, "template.yaml", slices.Collect(maps.Keys(linked)), runbook, slices.Collect(maps.Keys(sections)))
}

func runsQuery(section, query string) bool {
	for _, m := range savedQuery.FindAllStringSubmatch(section, -1) {
		if m[1] == query {
			return true
		}
	}
	return false
}

// Pages name every saved query, and the runbook runs no other.
func TestRunbook_queries(t *testing.T) {
	var file struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Name string `yaml:"Name"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var saved, listed []string
	for _, resource := range file.Resources {
		if resource.Type == "AWS::Logs::QueryDefinition" {
			saved = append(saved, strings.TrimPrefix(resource.Properties.Name, "${AWS::StackName}/"))
		}
	}
	if len(saved) < 10 {
		t.Errorf("template.yaml has only the queries %q", saved)
	}
	_, section, _ := strings.Cut(read(t, operations), "\n## Log queries\n")
	_, list, _ := strings.Cut(section, "\n```\n")
	list, _, _ = strings.Cut(list, "```")
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(line, " ")
		listed = append(listed, name)
	}
	same(t, "template.yaml", saved, operations, listed)
	runs := savedQuery.FindAllStringSubmatch(read(t, runbook), -1)
	for _, m := range runs {
		if !slices.Contains(saved, m[1]) {
			t.Errorf("%s runs %s, which template.yaml does not save", runbook, m[1])
		}
	}
	if len(runs) < 10 {
		t.Errorf("only %d runs of saved queries were found in %s", len(runs), runbook)
	}
}

func TestRunbook_loops(t *testing.T) {
	const text = `
Fn::ForEach::Alarms:
  - Name
  - [LogIn, LogOut]
  - ${Name}Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {AlarmDescription: "${Name} fails"}}
AllAlarm: {Type: AWS::CloudWatch::CompositeAlarm, Properties: {AlarmDescription: all}}
Topic: {Type: AWS::SNS::Topic}
`
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	addAlarms(t, got, document.Content[0], strings.NewReplacer())
	want := map[string]string{"LogInAlarm": "LogIn fails", "LogOutAlarm": "LogOut fails", "AllAlarm": "all"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// quotedError matches an error that a table quotes in its first column.
var quotedError = regexp.MustCompile("(?m)^\\| `([^`]+ [^`]*)` \\|")

// Every error that the runbook quotes is one that the code writes: a person
// searches the log for it.
func TestRunbook_quotedErrors(t *testing.T) {
	var code strings.Builder
	for file := range importsOfFiles(t) {
		if isWithin(file, "shared") {
			code.WriteString(read(t, file))
		}
	}
	quoted := 0
	for _, part := range strings.Split(read(t, runbook), "\n| the error says |")[1:] {
		table, _, _ := strings.Cut(part, "\n\n")
		for _, m := range quotedError.FindAllStringSubmatch(table, -1) {
			quoted++
			text, _, _ := strings.Cut(m[1], ": ") // what follows comes from elsewhere
			if !strings.Contains(code.String(), text) {
				t.Errorf("%s quotes %q, which no code in shared writes", runbook, m[1])
			}
		}
	}
	if quoted < 3 {
		t.Errorf("only %d quoted errors were found", quoted)
	}
}

// An id that somebody sent is text in the query of the runbook's function, and never a command of sed or the shell.
func TestRunbook_hostileID(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		report.Missing(t, "bash is not installed: apt-get install bash")
	}
	function := regexp.MustCompile(`(?ms)^saved\(\) \{.*?^\}$`).FindString(read(t, runbook))
	const fakes = "\nstack=s\nask() { printf %s \"$2\"; }\naws() { printf '| filter @message like \"ID\"'; }\nsaved 30 by-id \"$1\""
	for id, want := range map[string]string{
		"AZ-_az09": "AZ-_az09", "gw1+/a==": "gw1+/a==", "2001:db8::7": "2001:db8::7", "203.0.113.7": "203.0.113.7",
		"x|;1e touch written #": "x1etouchwritten", "x|w written\n": "xwwritten", `a" or 1 = 1 &\1`: "aor1=11", "": "",
	} {
		shell := exec.Command("bash", "-euo", "pipefail", "-c", function+fakes, "bash", id)
		shell.Dir = t.TempDir()
		out, err := shell.CombinedOutput()
		if query := `| filter @message like "` + want + `"`; string(out) != query || err != nil {
			t.Errorf("%q: the query is %s, %v, want %s", id, out, err, query)
		}
		if left, err := os.ReadDir(shell.Dir); err != nil || len(left) > 0 {
			t.Errorf("%q: files were written: %v, %v", id, left, err)
		}
	}
}

// blockLine matches a line of a page that blocks somebody with curl, and the
// variable with the id.
var blockLine = regexp.MustCompile(`(?m)^curl .*/api/admin/users/\$(\w+)/block"$`)

// One line of curl leads from a line of the log to a block: these very lines of
// the pages, with an id out of the log of a server.
func TestRunbook_blockFromALogLine(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			report.Missing(t, tool+" is not installed: apt-get install "+tool)
		}
	}
	root := newWallet(t)
	log := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := newServer(t, "ADMIN_ADDRESSES="+root.address)
	s.command.Stderr = file
	s.begin(t)
	admin := root.signInAs(s, "bearer", "User-Agent", "curl/8")
	credential := admin.header.Get("Authorization")
	for page, ids := range map[string]map[string]string{
		runbook:       {"userId": "userId", "sessionId": "sessionId"},
		"docs/api.md": {"USER_ID": "userId", "SESSION_ID": "sessionId"},
	} {
		lines := blockLine.FindAllStringSubmatch(read(t, page), -1)
		var variables []string
		for _, line := range lines {
			variables = append(variables, line[1])
			victim := newWallet(t).signInAs(s, "bearer")
			shell := exec.Command("bash", "-euo", "pipefail", "-c", line[0])
			shell.Env = append(os.Environ(), "api="+s.url, "API="+s.url, "admin=authorization: "+credential,
				"TOKEN="+strings.TrimPrefix(credential, "Bearer "), line[1]+"="+idInLog(t, log, victim.userID, ids[line[1]]))
			if out, err := shell.CombinedOutput(); err != nil || strings.Contains(string(out), "code") {
				t.Errorf("%s: %s: %v, %s", page, line[0], err, out)
			}
			ended := victim.send(t, "GET", s.url+"/api/profile", "")
			if ended.status != 401 || ended.body["reason"] != "account_blocked" {
				t.Errorf("%s: %s: the session is answered %d %v", page, line[0], ended.status, ended.body)
			}
			seen := admin.send(t, "GET", s.url+"/api/admin/users/"+victim.userID, "")
			if sessions, _ := seen.body["sessions"].([]any); seen.body["blocked"] != true || len(sessions) > 0 {
				t.Errorf("%s: %s: the account is %v", page, line[0], seen.body)
			}
		}
		same(t, page, variables, "the log", slices.Collect(maps.Keys(ids)))
	}
}

// idInLog returns a field of the line of the log about a user's login.
func idInLog(t *testing.T, log, user, field string) string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["type"] == "login" && entry["userId"] == user {
			id, _ := entry[field].(string)
			return id
		}
	}
	t.Fatalf("the log has no login of %s:\n%s", user, text)
	return ""
}
