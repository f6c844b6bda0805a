package stack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// example is the template of somebody else's API.
const example = "local/protected-api/template.yaml"

// imported is how the example names the authorizer of the stack latchkey-prod.
const imported = `{"Fn::ImportValue":"latchkey-prod-AuthorizerArn"}`

func TestProtectedAPI(t *testing.T) {
	parameters := []string{"AuthorizerTtl=5", "LatchkeyStack=latchkey-prod", "Origins=https://a.example,https://b.example"}
	s := carryOut(translated(t, example, parameters...), parameters...)
	_, api := s.one(t, "AWS::ApiGatewayV2::Api")
	for _, route := range []string{"get /orders", "post /orders", "get /orders/{id}"} {
		method, path, _ := strings.Cut(route, " ")
		if got := api.at("Body", "paths", path, method, "security").String(); got != `[{"Latchkey":[]}]` {
			t.Errorf("%s is guarded by %s", route, got)
		}
	}
	expect(t, "CORS", api.at("Body", "x-amazon-apigateway-cors"), map[string]string{
		"allowOrigins": `["https://a.example","https://b.example"]`, "allowMethods": `["GET","POST"]`,
		"allowHeaders": `["authorization","content-type","x-device-id"]`, "allowCredentials": "true",
	})
	expect(t, "the authorizer", api.at("Body", "components", "securitySchemes", "Latchkey", "x-amazon-apigateway-authorizer"), map[string]string{
		"type": "request", "authorizerPayloadFormatVersion": "2.0", "enableSimpleResponses": "true",
		"identitySource": `["$request.header.Authorization","$context.routeKey"]`, "authorizerResultTtlInSeconds": "5",
		"authorizerUri": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/" + imported + "/invocations",
	})
	expect(t, "its permission", s.resources["ApiLatchkeyAuthorizerPermission"].at("Properties"), map[string]string{
		"Principal": "apigateway.amazonaws.com", "FunctionName": imported,
	})
	// An answer that is remembered is one that a revocation does not reach.
	expect(t, "by default, the authorizer", carryOut(translated(t, example)).resources["Api"], map[string]string{
		"Properties/Body/components/securitySchemes/Latchkey/x-amazon-apigateway-authorizer/authorizerResultTtlInSeconds": "0",
	})
}

// TestProtectedAPI_cookies puts the lines that the example shows in a comment in the place that they are for.
func TestProtectedAPI_cookies(t *testing.T) {
	text := readFile(t, example)
	shown := regexp.MustCompile(`(?m)^ {10}#   (.*)\n`).FindAllStringSubmatch(text, -1)
	var lines strings.Builder
	for _, m := range shown {
		lines.WriteString(strings.Repeat(" ", 12) + m[1] + "\n")
	}
	identity := regexp.MustCompile(`(?m)^ {12}Identity:\n(?: {14}.*\n)+`)
	if len(shown) == 0 || !identity.MatchString(text) {
		t.Fatal("the example shows no lines for cookies")
	}
	s := carryOut(translatedText(t, identity.ReplaceAllString(text, lines.String())))
	_, api := s.one(t, "AWS::ApiGatewayV2::Api")
	expect(t, "the authorizer", api.at("Body", "components", "securitySchemes", "Latchkey", "x-amazon-apigateway-authorizer"), map[string]string{
		"identitySource": "[]", "authorizerResultTtlInSeconds": "0", "enableSimpleResponses": "true",
	})
}

// allowsPages is what a page needs to read the response of a REST API that no function wrote.
const allowsPages = `"responseParameters":{"gatewayresponse.header.Access-Control-Allow-Credentials":"'true'",` +
	`"gatewayresponse.header.Access-Control-Allow-Origin":"'https://app.example.com'"}`

// TestDocs_authorizerLint runs cfn-lint on the same snippets.
func TestDocs_authorizerLint(t *testing.T) {
	if _, err := exec.LookPath("cfn-lint"); err != nil {
		need(t, "no cfn-lint found: pip install cfn-lint")
	}
	folder := t.TempDir()
	var paths []string
	for i, snippet := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, "docs/authorizer.md"), -1) {
		text := around(snippet[1])
		if !strings.Contains(text, "  Api:") { // the reader's own
			text += "  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}\n"
		}
		paths = append(paths, filepath.Join(folder, fmt.Sprintf("snippet%d.yaml", i+1)))
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cfn-lint", paths...).CombinedOutput(); err != nil || len(paths) == 0 {
		t.Errorf("cfn-lint of %d snippets: %v\n%s", len(paths), err, out)
	}
}

// TestDocs_authorizer expands every snippet of docs/authorizer.md.
func TestDocs_authorizer(t *testing.T) {
	snippets := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, "docs/authorizer.md"), -1)
	want := [][]string{ // what the expansion of each must hold
		{`"$request.header.Authorization","$context.routeKey"`, `"authorizerResultTtlInSeconds":0`, `"enableSimpleResponses":true`},
		{`"identitySource":[]`, `"authorizerResultTtlInSeconds":0`, `"enableSimpleResponses":true`},
		{`"type":"request"`, `"authorizerResultTtlInSeconds":0`, `"x-amazon-apigateway-authorizer"`,
			`"ACCESS_DENIED":{` + allowsPages, `"DEFAULT_4XX":{` + allowsPages, `"UNAUTHORIZED":{` + allowsPages},
		{`"AWS::ApiGatewayV2::Authorizer"`, `"AuthorizerType":"REQUEST"`, `route.request.header.Sec-WebSocket-Protocol`, `"AWS::Lambda::Permission"`},
	}
	if len(snippets) != len(want) {
		t.Fatalf("%d snippets, want %d", len(snippets), len(want))
	}
	for i, snippet := range snippets {
		s := carryOut(translatedText(t, around(snippet[1])))
		text := node{asAny(s.resources)}.String()
		for _, piece := range append(want[i], "AuthorizerArn") {
			if !strings.Contains(text, piece) {
				t.Errorf("snippet %d has no %s:\n%s", i+1, piece, text)
			}
		}
	}
}

// around makes a template of a snippet: with a function behind each API that SAM gives a route by itself.
func around(snippet string) string {
	text := "Transform: AWS::Serverless-2016-10-31\nResources:\n"
	for line := range strings.Lines(snippet) {
		text += "  " + line
	}
	text += "  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: .\n      Handler: bootstrap\n      Runtime: provided.al2023\n"
	switch {
	case strings.Contains(snippet, "AWS::Serverless::HttpApi"):
		text += "      Events: {E: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /a}}}\n"
	case strings.Contains(snippet, "AWS::Serverless::Api"):
		text += "      Events: {E: {Type: Api, Properties: {RestApiId: !Ref Api, Method: GET, Path: /a}}}\n"
	}
	return text
}

func asAny(resources map[string]node) any {
	all := map[string]any{}
	for id, resource := range resources {
		all[id] = resource.value
	}
	return all
}

func translatedText(t *testing.T, text string) map[string]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return translated(t, path)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
