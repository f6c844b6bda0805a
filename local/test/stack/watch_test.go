package stack_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// metric is a metric of a function, as an alarm has it.
func metric(namespace, name, function string) string {
	return `{"Dimensions":[{"Name":"FunctionName","Value":` + ref(function) + `}],"MetricName":"` + name + `","Namespace":"` + namespace + `"}`
}

// watched are the metrics of an alarm by their id, and the expression of all.
func watched(alarm node) (expression string, metrics map[string]string) {
	metrics = map[string]string{}
	for _, m := range alarm.at("Metrics").list() {
		if text := m.at("Expression"); text.value != nil {
			expression = text.String()
			continue
		}
		metrics[m.at("Id").String()] = m.at("MetricStat", "Metric").String()
	}
	return expression, metrics
}

func TestStack_everyFunctionHasAnAlarm(t *testing.T) {
	each(t, func(t *testing.T, s stack, _ string) {
		for id := range s.of("AWS::Lambda::Function") {
			alarm := s.resources[strings.TrimSuffix(id, "Function")+"Alarm"].at("Properties")
			if servesFiles(id) { // it can lose nothing, and an alarm costs something when nobody asks
				if alarm.value != nil {
					t.Errorf("%s has an alarm", id)
				}
				continue
			}
			want := "FILL(errors, 0) + FILL(faults, 0)"
			expression, metrics := watched(alarm)
			if id == authorizer {
				want = "FILL(errors, 0) - FILL(unauthorized, 0) + FILL(faults, 0)"
				if metrics["unauthorized"] != metric("Latchkey", "Unauthorized", id) {
					t.Errorf("%s: the alarm looks at %s", id, metrics["unauthorized"])
				}
			}
			if expression != want || metrics["errors"] != metric("AWS/Lambda", "Errors", id) || metrics["faults"] != metric("Latchkey", "Faults", id) {
				t.Errorf("%s: the alarm is %q over %v", id, expression, metrics)
			}
		}
	})
}

func TestStack_alarms(t *testing.T) {
	api := `[{"Name":"ApiId","Value":{"Ref":"Api"}}]`
	everywhere := map[string]map[string]string{
		"ApiFaultsAlarm":    {"Namespace": "AWS/ApiGateway", "MetricName": "5xx", "Dimensions": api, "Threshold": "11"},
		"ApiLatencyAlarm":   {"Namespace": "AWS/ApiGateway", "MetricName": "Latency", "ExtendedStatistic": "p99", "Dimensions": api, "Threshold": "12"},
		"FailedLoginsAlarm": {"Namespace": "Latchkey", "MetricName": "FailedLogins", "Dimensions/0/Value": ref("LogInFunction"), "Threshold": "13"},
		"ReuseAlarm":        {"Namespace": "Latchkey", "MetricName": "ReuseDetections", "Dimensions/0/Value": ref("RefreshSessionFunction"), "Threshold": "14"},
		"SweepMissingAlarm": {"MetricName": "Invocations", "Dimensions/0/Value": ref(sweeper), "TreatMissingData": "breaching"},
	}
	s := deploy(t, "FaultAlarmThreshold=11", "LatencyAlarmMilliseconds=12", "FailedLoginAlarmThreshold=13", "ReuseAlarmThreshold=14")
	for id, want := range everywhere {
		expect(t, id, s.resources[id].at("Properties"), want)
	}
	for id, alarm := range s.of("AWS::CloudWatch::Alarm") {
		if id != "SweepMissingAlarm" {
			expect(t, id, alarm, map[string]string{"TreatMissingData": "notBreaching", "ComparisonOperator": "GreaterThanOrEqualToThreshold"})
		}
	}
	if left := deploy(t, "Alarms=false").of("AWS::CloudWatch::Alarm"); len(left) > 0 {
		t.Errorf("without alarms there are %d", len(left))
	}
}

func TestStack_alarmsOfTheCache(t *testing.T) {
	const serverless, nodes = "CacheFullAlarm CacheEvictionsAlarm CacheAuthenticationAlarm", "NodesFullAlarm NodesEvictionsAlarm NodesAuthenticationAlarm"
	each(t, func(t *testing.T, s stack, way string) {
		there := map[string]bool{serverless: !isExisting(way) && !hasNodes(way), nodes: hasNodes(way)}
		for names, want := range there {
			for name := range strings.FieldsSeq(names) {
				if _, found := s.resources[name]; found != want {
					t.Errorf("%s is there: %v", name, found)
				}
			}
		}
	})
	expression, metrics := watched(deploy(t, "CacheMaxGigabytes=9").resources["CacheFullAlarm"].at("Properties"))
	if expression != "100 * bytes / (9 * 1000000000)" || !strings.Contains(metrics["bytes"], `"clusterId","Value":{"Ref":"Cache"}`) {
		t.Errorf("the cache is full at %q over %v", expression, metrics)
	}
	_, metrics = watched(deploy(t, "CacheMode=replication-group").resources["NodesFullAlarm"].at("Properties"))
	if !strings.Contains(metrics["two"], `"Value":"${Nodes}-0001-002"`) || !strings.Contains(metrics["one"], "DatabaseMemoryUsagePercentage") {
		t.Errorf("the nodes are full over %v", metrics)
	}
}

func TestStack_alarmsGoSomewhere(t *testing.T) {
	for parameter, want := range map[string]string{
		"AlarmTopicArn=arn:topic":     `["arn:topic"]`,
		"AlarmEmail=ops@example.com":  `[{"Ref":"AlarmTopic"}]`,
		"FaultAlarmThreshold=3":       `[]`, // nowhere: the console shows them
		"AlarmTopicArn=arn:elsewhere": `["arn:elsewhere"]`,
	} {
		s := deploy(t, parameter)
		for id, alarm := range s.of("AWS::CloudWatch::Alarm") {
			expect(t, parameter+": "+id, alarm, map[string]string{"AlarmActions": want})
		}
		if strings.HasPrefix(parameter, "AlarmEmail") {
			_, topic := s.one(t, "AWS::SNS::Topic")
			expect(t, "the topic", topic, map[string]string{"Subscription": `[{"Endpoint":"ops@example.com","Protocol":"email"}]`})
		} else if len(s.of("AWS::SNS::Topic")) > 0 {
			t.Errorf("%s makes a topic", parameter)
		}
	}
}

func TestStack_dashboard(t *testing.T) {
	each(t, func(t *testing.T, s stack, way string) {
		_, dashboard := s.one(t, "AWS::CloudWatch::Dashboard")
		var body struct {
			Widgets []struct {
				Type       string
				Properties struct {
					Title, Region string
					Metrics       [][]any
				}
			}
		}
		text := dashboard.at("DashboardBody").String()
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatalf("the dashboard is no JSON: %v\n%s", err, text)
		}
		want := 10
		if isExisting(way) {
			want = 8
		}
		if hasEvents(way) {
			want += 2
		}
		if len(body.Widgets) != want {
			t.Errorf("%d widgets, want %d", len(body.Widgets), want)
		}
		for _, w := range body.Widgets {
			if w.Properties.Title == "" || w.Properties.Region != "${AWS::Region}" || len(w.Properties.Metrics) == 0 {
				t.Errorf("a widget is %+v", w)
			}
		}
		if strings.Contains(text, "SEARCH(") {
			t.Error("a search finds only what is called exactly like the stack")
		}
		for id := range s.of("AWS::Lambda::Function") { // the rotation has an alarm, and runs four times a year
			if n := strings.Count(text, `"${`+id+`}"`); id != "RotateKeysFunction" && n < 4 {
				t.Errorf("%s is in %d widgets, want errors, faults, duration and instances", id, n)
			}
		}
	})
}

// TestDeploy_costOfAlarms counts what CloudWatch charges for: each metric that
// an alarm watches.
func TestDeploy_costOfAlarms(t *testing.T) {
	charged := func(parameters ...string) (count int) {
		for _, alarm := range deploy(t, parameters...).of("AWS::CloudWatch::Alarm") {
			_, metrics := watched(alarm)
			count += max(len(metrics), 1)
		}
		return count
	}
	page := readFile(t, "docs/deploy.md")
	for _, want := range []string{
		fmt.Sprintf("%d metrics at $0.10 (`Alarms=false` saves them) | $%.2f |", charged(), float64(charged())/10),
		fmt.Sprintf("`CacheMode=replication-group` has alarms on %d metrics, and `CacheMode=existing` on %d.",
			charged("CacheMode=replication-group"), charged("CacheMode=existing", "RedisHost=redis.example.com")),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/deploy.md does not say %q", want)
		}
	}
}

// TestDeploy_costs adds up the table of a month's costs in docs/deploy.md.
func TestDeploy_costs(t *testing.T) {
	var rest, million []float64
	sums := map[float64][]float64{} // by millions of validations
	for label, row := range costs(t) {
		switch count, isSum := strings.CutPrefix(label, "**"); {
		case label == "each million validations":
			million = row
		case isSum:
			n, _ := strconv.ParseFloat(strings.TrimSuffix(count, " million**"), 64)
			sums[n] = row
		default:
			rest = add(rest, row, 1)
		}
	}
	if len(sums) != 4 || len(rest) != 3 || len(million) != 3 {
		t.Fatalf("the table has the sums %v, at rest %v, a million %v", sums, rest, million)
	}
	for n, sum := range sums {
		for i, want := range add(rest, million, n) {
			if math.Abs(sum[i]-want) > 0.005001 {
				t.Errorf("%v million validations, column %d: $%.2f, which adds up to $%.3f", n, i+1, sum[i], want)
			}
		}
	}
}

// costs returns the rows of the table of a month's costs, by their label.
func costs(t *testing.T) map[string][]float64 {
	t.Helper()
	_, table, _ := strings.Cut(readFile(t, "docs/deploy.md"), "\n| a month | default | cheapest | durable |\n|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := map[string][]float64{}
	for line := range strings.Lines(table + "\n") {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		for _, cell := range cells[1:] {
			cell = strings.Trim(cell, "*$")
			if cell == "–" || cell == "yours" {
				cell = "0"
			}
			value, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			rows[cells[0]] = append(rows[cells[0]], value)
		}
	}
	return rows
}

// add returns a + n·b, for each column.
func add(a, b []float64, n float64) []float64 {
	sums := make([]float64, len(b))
	for i := range b {
		if i < len(a) {
			sums[i] = a[i]
		}
		sums[i] += n * b[i]
	}
	return sums
}
