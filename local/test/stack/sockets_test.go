package stack_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// socketExample is the template of a WebSocket API that closes the connections of ended sessions.
const socketExample = "local/protected-api/websocket/template.yaml"

// busOf is how a stack names the bus that latchkey-prod exports.
const busOf = `{"Fn::ImportValue":"latchkey-prod-EventBusArn"}`

func TestSocketExample(t *testing.T) {
	const parameter = "LatchkeyStack=latchkey-prod"
	s := carryOut(translated(t, socketExample, parameter), parameter)
	authorizer, properties := s.one(t, "AWS::ApiGatewayV2::Authorizer")
	expect(t, "the authorizer", properties, map[string]string{"AuthorizerType": "REQUEST", "IdentitySource": `["route.request.header.Sec-WebSocket-Protocol"]`})
	if uri := properties.at("AuthorizerUri").String(); !strings.Contains(uri, imported) {
		t.Errorf("the authorizer is %s", uri)
	}
	guarded := map[string]string{}
	for _, route := range s.of("AWS::ApiGatewayV2::Route") {
		guarded[route.at("RouteKey").String()] = route.at("AuthorizationType").String() + " " + route.at("AuthorizerId").String()
	}
	if len(guarded) != 3 || guarded["$connect"] != "CUSTOM "+ref(authorizer) || guarded["$disconnect"] == "" || guarded["$default"] == "" {
		t.Errorf("the routes are %v", guarded)
	}
	expect(t, "the rule", s.of("AWS::Events::Rule")["EndedSessions"], map[string]string{
		"EventBusName": busOf, "EventPattern": `{"detail-type":["session.ended"],"source":["latchkey"]}`,
		"Targets/0/Arn": attribute("Queue", "Arn"), "Targets/0/DeadLetterConfig/Arn": attribute("DeadLetters", "Arn"),
	})
	expect(t, "the queue", s.of("AWS::SQS::Queue")["Queue"], map[string]string{
		"RedrivePolicy/deadLetterTargetArn": attribute("DeadLetters", "Arn"), "RedrivePolicy/maxReceiveCount": "5", "VisibilityTimeout": "60",
	})
	_, mapping := s.one(t, "AWS::Lambda::EventSourceMapping")
	expect(t, "what calls the consumer", mapping, map[string]string{
		"EventSourceArn": attribute("Queue", "Arn"), "FunctionResponseTypes": `["ReportBatchItemFailures"]`, "FunctionName": ref("CloseSocketsFunction"),
	})
	_, table := s.one(t, "AWS::DynamoDB::Table")
	expect(t, "the table", table, map[string]string{
		"KeySchema/0/AttributeName": "session", "KeySchema/1/AttributeName": "connection",
		"TimeToLiveSpecification/AttributeName": "expires", "TimeToLiveSpecification/Enabled": "true",
	})
	for role, want := range map[string][]string{
		"WebSocketFunctionRole": {"Allow dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem on " + attribute("Connections", "Arn")},
		"CloseSocketsFunctionRole": {"Allow dynamodb:DeleteItem dynamodb:PutItem dynamodb:Query on " + attribute("Connections", "Arn"),
			"Allow execute-api:ManageConnections on arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${Stage}/DELETE/@connections/*"},
	} {
		var got []string
		for _, policy := range s.of("AWS::IAM::Role")[role].at("Policies").list() {
			for _, statement := range policy.at("PolicyDocument", "Statement").list() {
				got = append(got, describe(statement))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s may %q", role, got)
		}
	}
}

// snippetsOf returns the templates that a page shows.
func snippetsOf(t *testing.T, page string) (all []string) {
	t.Helper()
	for _, snippet := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, page), -1) {
		all = append(all, snippet[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s shows no template", page)
	}
	return all
}

// The lines that post events to Slack are what a stack can have.
func TestDocs_eventsToSlack(t *testing.T) {
	for _, snippet := range snippetsOf(t, "docs/events.md") {
		if !strings.Contains(snippet, "AWS::Events::ApiDestination") {
			continue
		}
		if lines := strings.Count(snippet, "\n"); lines > 12 {
			t.Errorf("%d lines, and the page says that they are few", lines)
		}
		text := "Resources:\n"
		for line := range strings.Lines(snippet) {
			text += "  " + line
		}
		path := filepath.Join(t.TempDir(), "slack.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath("cfn-lint"); err != nil {
			need(t, "no cfn-lint found: pip install cfn-lint")
		}
		if out, err := exec.Command("cfn-lint", path).CombinedOutput(); err != nil {
			t.Errorf("cfn-lint: %v\n%s", err, out)
		}
		s := carryOut(translatedText(t, "Transform: AWS::Serverless-2016-10-31\n"+text))
		connection, _ := s.one(t, "AWS::Events::Connection")
		destination, properties := s.one(t, "AWS::Events::ApiDestination")
		expect(t, "the destination", properties, map[string]string{"HttpMethod": "POST", "ConnectionArn": attribute(connection, "Arn")})
		if url := properties.at("InvocationEndpoint").String(); !strings.HasPrefix(url, "https://hooks.slack.com/services/") {
			t.Errorf("it posts to %s", url)
		}
		_, rule := s.one(t, "AWS::Events::Rule")
		expect(t, "the rule", rule, map[string]string{"EventBusName": busOf, "Targets/0/Arn": attribute(destination, "Arn")})
		if template := rule.at("Targets", "0", "InputTransformer", "InputTemplate").String(); !strings.HasPrefix(template, `{"text":`) {
			t.Errorf("it posts %s", template)
		}
		return
	}
	t.Error("docs/events.md does not show how to post to Slack")
}
