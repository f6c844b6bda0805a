package stack_test

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey/shared/events"
)

const (
	busARN     = "arn:aws:events:us-east-1:000000000000:event-bus/given"
	webhookARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:webhook"
	// webhookSecret signs nothing outside these tests.
	webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// The parameters that switch events on, without those of the network.
var (
	givenBus = []string{"Events=eventbridge", "EventBusArn=" + busARN, "EventTypes=session.ended,account.blocked", "EventDetails=false"}
	webhook  = []string{"Events=webhook", "EventWebhookUrl=https://hooks.example.com/latchkey", "EventWebhookSecretArn=" + webhookARN}
)

func eventTypes() (names []string) {
	for name := range events.Types() {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// difference returns which resources on has more than off, and which differ.
func difference(t *testing.T, off, on stack) (added, changed []string) {
	t.Helper()
	for id, resource := range on.resources {
		if former := off.resources[id]; former.value == nil {
			added = append(added, id)
		} else if former.String() != resource.String() {
			changed = append(changed, id)
		}
	}
	if len(on.resources) != len(off.resources)+len(added) {
		t.Error("resources are missing")
	}
	slices.Sort(added)
	slices.Sort(changed)
	return added, changed
}

// Events are off by default, with not one resource more. On, they add the publisher, and what the sink and the network need; of the
// rest they change the variables EVENTS and EVENT_TYPES, the queries and the dashboard.
func TestStack_events(t *testing.T) {
	function := []string{"EventsQuery", "PublishEventsFunction", "PublishEventsFunctionEventInvokeConfig", "PublishEventsFunctionSchedule",
		"PublishEventsFunctionScheduleRole", "PublishEventsLogs", "PublishEventsRole"}
	alarms := []string{"EventsAgeAlarm", "EventsDroppedAlarm", "EventsRefusedAlarm", "PublishEventsAlarm"}
	bus := []string{"EventBus", "EventDeadLetters", "EventDeadLettersPolicy"}
	schemas := []string{"EventSchema", "EventSchemas"} // of EventBridge's registry
	given, public := ways["given network"], ways["existing, public"]
	for name, c := range map[string]struct {
		network, events []string
		want            []string
	}{
		"a bus":                 {nil, []string{"Events=eventbridge"}, slices.Concat(function, schemas, alarms, bus, []string{"EventArchive", "EventDeadLettersAlarm", "EventsEndpoint"})},
		"no archive":            {nil, []string{"Events=eventbridge", "EventArchiveDays=0"}, slices.Concat(function, schemas, alarms, bus, []string{"EventDeadLettersAlarm", "EventsEndpoint"})},
		"no alarms":             {[]string{"Alarms=false"}, []string{"Events=eventbridge"}, slices.Concat(function, schemas, bus, []string{"EventArchive", "EventsEndpoint"})},
		"a given bus":           {nil, givenBus, slices.Concat(function, schemas, alarms, []string{"EventsEndpoint"})},
		"in a given network":    {given, []string{"Events=eventbridge"}, slices.Concat(function, schemas, alarms, bus, []string{"EventArchive", "EventDeadLettersAlarm"})},
		"outside a VPC":         {public, givenBus, slices.Concat(function, schemas, alarms)},
		"a webhook":             {given, webhook, slices.Concat(function, alarms)},
		"a webhook without VPC": {public, webhook, slices.Concat(function, alarms)},
	} {
		off, on := deploy(t, c.network...), deploy(t, append(slices.Clone(c.network), c.events...)...)
		added, changed := difference(t, off, on)
		slices.Sort(c.want)
		if !slices.Equal(added, c.want) {
			t.Errorf("%s: adds %q, want %q", name, added, c.want)
		}
		want := []string{"ByIdQuery", "Dashboard", "EndsQuery", "FaultsQuery", "RoutesQuery", "SlowestRequestsQuery"}
		for id, f := range off.of("AWS::Lambda::Function") {
			if f.at("Environment", "Variables", "EVENTS").value != nil {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		if !slices.Equal(changed, want) {
			t.Errorf("%s: changes %q, want %q", name, changed, want)
		}
		for id, resource := range off.resources {
			if kind := resource.at("Type").String(); strings.HasPrefix(kind, "AWS::Events::") || strings.HasPrefix(kind, "AWS::SQS::") {
				t.Errorf("%s: off, there is the %s %s", name, kind, id)
			}
		}
		for id, f := range off.of("AWS::Lambda::Function") {
			for variable, value := range f.at("Environment", "Variables").value.(map[string]any) {
				if strings.HasPrefix(variable, "EVENT") && value != "" {
					t.Errorf("%s: off, %s has %s=%v", name, id, variable, value)
				}
			}
		}
		for output := range off.outputs {
			if strings.HasPrefix(output, "Event") {
				t.Errorf("%s: off, there is the output %s", name, output)
			}
		}
	}
}

// The functions that write events down have no way to send one: neither the bus nor the secret is in their environment.
func TestStack_publisher(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"events to a bus": {"EVENTS": "eventbridge", "EVENT_BUS": attribute("EventBus", "Arn"), "EVENT_TYPES": "", "EVENT_DETAILS": "",
			"EVENT_WEBHOOK_URL": "", "EVENT_WEBHOOK_SECRET": "", "EVENT_WEBHOOK_SECRET_ARN": ""},
		"events to a given": {"EVENTS": "eventbridge", "EVENT_BUS": busARN, "EVENT_TYPES": "session.ended,account.blocked", "EVENT_DETAILS": "false"},
		"events to a hook": {"EVENTS": "webhook", "EVENT_BUS": "", "EVENT_WEBHOOK_URL": "https://hooks.example.com/latchkey",
			"EVENT_WEBHOOK_SECRET": "", "EVENT_WEBHOOK_SECRET_ARN": webhookARN},
	} {
		s := deploy(t, ways[name]...)
		f := s.resources[publisher].at("Properties")
		expect(t, name, f, map[string]string{"Timeout": "55", "MemorySize": "256"})
		expect(t, name, f.at("Environment", "Variables"), want)
		expect(t, name, s.resources[publisher+"Schedule"].at("Properties"), map[string]string{
			"ScheduleExpression": "rate(1 minute)", "State": "null", "Name": "null", "FlexibleTimeWindow": `{"Mode":"OFF"}`,
			"Target/Arn": attribute(publisher, "Arn"), "Target/RetryPolicy": `{"MaximumRetryAttempts":0}`,
		})
		expect(t, name, s.resources[publisher+"EventInvokeConfig"].at("Properties"), map[string]string{
			"MaximumRetryAttempts": "0", "MaximumEventAgeInSeconds": "60",
		})
		writer := s.resources["LogInFunction"].at("Properties", "Environment", "Variables")
		expect(t, name, writer, map[string]string{"EVENTS": want["EVENTS"], "EVENT_TYPES": want["EVENT_TYPES"], "EVENT_BUS": "null"})
	}
}

func TestStack_eventBus(t *testing.T) {
	s := deploy(t, "Events=eventbridge", "EventArchiveDays=7")
	expect(t, "the bus", s.resources["EventBus"].at("Properties"), map[string]string{"Name": ref("AWS::StackName"), "Policy": "null"})
	expect(t, "the archive", s.resources["EventArchive"].at("Properties"), map[string]string{
		"SourceArn": attribute("EventBus", "Arn"), "RetentionDays": "7", "EventPattern": "null",
	})
	expect(t, "by default, the archive", deploy(t, "Events=eventbridge").resources["EventArchive"].at("Properties"), map[string]string{"RetentionDays": "30"})
	expect(t, "the queue", s.resources["EventDeadLetters"].at("Properties"), map[string]string{"SqsManagedSseEnabled": "true", "MessageRetentionPeriod": "1209600"})
	expect(t, "its policy", s.resources["EventDeadLettersPolicy"].at("Properties"), map[string]string{
		"Queues": `[{"Ref":"EventDeadLetters"}]`,
		"PolicyDocument/Statement": `[{"Action":"sqs:SendMessage","Condition":{"ArnLike":{"aws:SourceArn":` +
			`"arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/${EventBus}/*"},"StringEquals":{"aws:SourceAccount":{"Ref":"AWS::AccountId"}}},` +
			`"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":` + attribute("EventDeadLetters", "Arn") + `}]`,
	})
	for given, bus := range map[string]string{"": attribute("EventBus", "Arn"), busARN: busARN} {
		resource := bus
		if given != "" {
			resource = `"` + bus + `"`
		}
		on := deploy(t, "Events=eventbridge", "EventBusArn="+given)
		expect(t, "the endpoint", on.resources["EventsEndpoint"].at("Properties"), map[string]string{
			"ServiceName": "com.amazonaws.${AWS::Region}.events", "PrivateDnsEnabled": "true", "VpcEndpointType": "Interface",
			"SubnetIds": `[{"Ref":"SubnetA"},{"Ref":"SubnetB"}]`, "SecurityGroupIds": `[{"Ref":"EndpointGroup"}]`,
			"PolicyDocument/Statement": `[{"Action":"events:PutEvents","Effect":"Allow","Principal":"*","Resource":` + resource + `}]`,
		})
		expect(t, "the output", on.outputs["EventBusArn"], map[string]string{"Value": bus, "Export/Name": "${AWS::StackName}-EventBusArn"})
		if queue := on.outputs["EventDeadLettersArn"]; (queue.value == nil) != (given != "") {
			t.Errorf("with the bus %q, the queue is %s", given, queue)
		}
	}
}

func TestStack_alarmsOfEvents(t *testing.T) {
	s := deploy(t, "Events=eventbridge")
	for id, want := range map[string]map[string]string{
		"EventsAgeAlarm": {"Namespace": "Latchkey", "MetricName": "EventsAge", "Statistic": "Maximum", "Threshold": "300", "TreatMissingData": "breaching",
			"Dimensions/0/Value": ref(publisher)},
		"EventsDroppedAlarm": {"Namespace": "Latchkey", "MetricName": "EventsDropped", "Statistic": "Sum", "Threshold": "1", "Dimensions/0/Value": ref(publisher)},
		"EventsRefusedAlarm": {"Namespace": "Latchkey", "MetricName": "EventsRefused", "Statistic": "Sum", "Threshold": "1", "Dimensions/0/Value": ref(publisher)},
		"EventDeadLettersAlarm": {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Threshold": "1",
			"Dimensions/0/Value": attribute("EventDeadLetters", "QueueName")},
	} {
		expect(t, id, s.resources[id].at("Properties"), want)
		expect(t, id, s.resources[id].at("Properties"), map[string]string{"ComparisonOperator": "GreaterThanOrEqualToThreshold", "AlarmActions": "[]"})
	}
}

// What docs/events-on-aws.md says that it costs at rest adds up, and has the price of all alarms.
func TestEvents_costs(t *testing.T) {
	_, section, _ := strings.Cut(readFile(t, "docs/events-on-aws.md"), "\n| a month | `eventbridge` | `webhook` |\n|---|---|---|\n")
	table, _, _ := strings.Cut(section, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) < 5 {
		t.Fatalf("the table is %q", table)
	}
	for column, way := range [][]string{{"Events=eventbridge"}, slices.Concat(ways["given network"], webhook)} {
		watches, off := 0, deploy(t)
		for id, alarm := range deploy(t, way...).of("AWS::CloudWatch::Alarm") {
			if off.resources[id].value == nil {
				_, metrics := watched(alarm)
				watches += max(len(metrics), 1)
			}
		}
		var cents []int
		for _, row := range rows {
			digits := regexp.MustCompile(`[$.*–]`).ReplaceAllString(strings.Split(strings.Trim(row, "| "), " | ")[column+1], "")
			amount, _ := strconv.Atoi(digits) // a dash is nothing
			cents = append(cents, amount)
			if strings.HasPrefix(row, "| alarms") && amount != 10*watches {
				t.Errorf("%s: %d metrics are watched", row, watches)
			}
		}
		sum := 0
		for _, amount := range cents[:len(cents)-1] {
			sum += amount
		}
		if last := cents[len(cents)-1]; last != sum || sum == 0 {
			t.Errorf("%q: the sum is %d cents, which adds up to %d", way, last, sum)
		}
	}
}

// Settings without effect, and those that cannot work, are refused before anything is deployed.
func TestStack_eventsFitTogether(t *testing.T) {
	rules := node{template(t)}.at("Rules")
	own, given := []string{}, ways["given network"]
	for name, c := range map[string]struct {
		network, parameters []string
		refuses             string
	}{
		"nothing": {own, nil, ""}, "a bus": {own, []string{"Events=eventbridge"}, ""}, "a given bus": {own, givenBus, ""},
		"a webhook":              {given, webhook, ""},
		"a webhook outside VPCs": {ways["existing, public"], webhook, ""},
		"no way out":             {own, webhook, "EventsToAWebhook"},
		"no URL":                 {given, slices.Concat(webhook[:1], webhook[2:]), "EventsToAWebhook"},
		"no secret":              {given, webhook[:2], "EventsToAWebhook"},
		"a bus while off":        {own, givenBus[1:2], "EventsToABus"},
		"a bus for a webhook":    {given, slices.Concat(webhook, givenBus[1:2]), "EventsToABus"},
		"a URL for a bus":        {own, []string{"Events=eventbridge", webhook[1]}, "NoEventsToAWebhook"},
		"a secret while off":     {own, webhook[2:], "NoEventsToAWebhook"},
		"types while off":        {own, givenBus[2:3], "SomeEvents"},
		"details while off":      {own, givenBus[3:], "SomeEvents"},
	} {
		r := newResolver(template(t), slices.Concat(c.network, c.parameters)...)
		var refusing []string
		for _, rule := range []string{"EventsToABus", "EventsToAWebhook", "NoEventsToAWebhook", "SomeEvents"} {
			if r.resolve(rules.at(rule, "RuleCondition").value) != true {
				continue
			}
			for _, assertion := range rules.at(rule, "Assertions").list() {
				if r.resolve(assertion.at("Assert").value) != true && !slices.Contains(refusing, rule) {
					refusing = append(refusing, rule)
				}
			}
		}
		if got := strings.Join(refusing, " "); got != c.refuses {
			t.Errorf("%s: refused by %q, want %q", name, got, c.refuses)
		}
	}
}

// What a parameter takes, the functions take too.
func TestStack_eventParameters(t *testing.T) {
	declared := declaredParameters(t, "template.yaml")
	for value, want := range map[string]bool{
		"EventTypes=" + strings.Join(eventTypes(), ","): true, "EventTypes=session.ended, login": false, "EventTypes=": true,
		"EventBusArn=" + busARN: true, "EventBusArn=given": false, "EventBusArn=arn:aws:sns:us-east-1:000000000000:x": false,
		"EventWebhookUrl=https://hooks.example.com/x?y=z": true, "EventWebhookUrl=http://hooks.example.com": false,
		"EventWebhookUrl=https://user:pass@hooks.example.com": false, "EventWebhookUrl=https://a#b": false,
		"Events=log": false, "Events=off": false, "Events=": true,
	} {
		name, value, _ := strings.Cut(value, "=")
		if p := declared[name]; p.takes(value) != want {
			t.Errorf("%s takes %q: %v", name, value, !want)
		}
	}
	if missing := slices.DeleteFunc(slices.Collect(maps.Keys(declared)), func(name string) bool { return !strings.HasPrefix(name, "Event") }); len(missing) != 7 {
		t.Errorf("the parameters are %q", missing)
	}
}
