package stack_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// queries returns the names of the log groups of each saved query, by its name.
func queries(t *testing.T, s stack) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for id, query := range s.of("AWS::Logs::QueryDefinition") {
		name, isOurs := strings.CutPrefix(query.at("Name").String(), "${AWS::StackName}/")
		if !isOurs || found[name] != nil {
			t.Errorf("%s is called %s: it must be in the stack's folder, under a name of its own", id, query.at("Name"))
		}
		for _, group := range query.at("LogGroupNames").list() {
			found[name] = append(found[name], group.at("Ref").String())
		}
	}
	return found
}

// groupsOf returns the log groups of these functions.
func groupsOf(functions []string) []string {
	var groups []string
	for _, id := range functions {
		groups = append(groups, strings.TrimSuffix(id, "Function")+"Logs")
	}
	return groups
}

// administering returns the functions that serve a route for admins.
func administering(t *testing.T, s stack) []string {
	t.Helper()
	_, api := s.one(t, "AWS::ApiGatewayV2::Api")
	paths, _ := api.at("Body", "paths").value.(map[string]any)
	var found []string
	for path, methods := range paths {
		if strings.HasPrefix(path, "/api/admin/") {
			for id := range s.of("AWS::Lambda::Function") {
				if strings.Contains(node{methods}.String(), "${"+id+".Arn}") {
					found = append(found, id)
				}
			}
		}
	}
	return found
}

// Each query asks all log groups that may have its lines. CloudWatch takes at
// most 50.
func TestStack_queries(t *testing.T) {
	each(t, func(t *testing.T, s stack, way string) {
		all := groupsOf(slices.Collect(maps.Keys(s.of("AWS::Lambda::Function"))))
		admins := groupsOf(administering(t, s))
		if len(admins) < 9 {
			t.Errorf("only %q are for admins", admins)
		}
		want := map[string][]string{
			"by-id": append(slices.Clone(all), "ApiLogs"), "routes": append(slices.Clone(all), "ApiLogs"),
			"ends": all, "slowest-requests": all, "faults": all, "admins": admins,
			"failed-logins": {"LogInLogs", "StepUpLogs"}, "reused-tokens": {"RefreshSessionLogs"}, "api-faults": {"ApiLogs"},
			"sweeps": {"SweepSessionsLogs"}, "rotations": {"RotateKeysLogs"},
		}
		if way == "existing keys" {
			delete(want, "rotations")
		}
		if hasEvents(way) {
			want["events"] = []string{"PublishEventsLogs"}
		}
		got := queries(t, s)
		for name := range want {
			slices.Sort(want[name])
			slices.Sort(got[name])
			if !slices.Equal(got[name], want[name]) {
				t.Errorf("the query %s asks %q, want %q", name, got[name], want[name])
			}
			if len(got[name]) > 50 {
				t.Errorf("the query %s asks %d log groups", name, len(got[name]))
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d queries, want %d", len(got), len(want))
		}
	})
	if s := deploy(t, "Alarms=false"); len(queries(t, s)) == 0 {
		t.Error("without alarms there are no queries")
	}
}

// A description ends with the link to the runbook, wherever that is, and is not
// too long for CloudWatch.
func TestStack_runbook(t *testing.T) {
	const longest = 1024
	url := "https://example.com/" + strings.Repeat("x", 512-len("https://example.com/"))
	if p := declaredParameters(t, "template.yaml")["RunbookUrl"]; !p.takes(url) || p.takes("a#b") || p.takes("a b") || p.takes("") {
		t.Error("RunbookUrl does not take a URL, or takes one with an anchor or a space, or none")
	}
	for parameter, begins := range map[string]string{"RunbookUrl=" + url: url, "Alarms=true": "docs/runbook.md"} {
		found := deploy(t, parameter).of("AWS::CloudWatch::Alarm")
		if len(found) < 30 {
			t.Errorf("only %d alarms", len(found))
		}
		for id, alarm := range found {
			text := strings.ReplaceAll(alarm.at("AlarmDescription").String(), "${AWS::StackName}", strings.Repeat("s", 128))
			words := strings.Fields(text)
			if last := words[len(words)-1]; !strings.HasPrefix(last, begins+"#alarm-") {
				t.Errorf("%s: the description ends with %s, want a link below %s", id, last, begins)
			}
			if len(text) > longest {
				t.Errorf("%s: the description has %d characters, at most %d are allowed", id, len(text), longest)
			}
		}
	}
}
