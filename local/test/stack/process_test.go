package stack_test

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"latchkey/local/gateway"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/config"
)

// secretARN is the secret that the stack makes, once it is there.
const secretARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:keys-AbCdEf"

// keysText is a secret as CloudFormation generates it.
var keysText = `{"lookup":"k1","k1":"` + (rand.Text() + strings.ToLower(rand.Text()) + rand.Text())[:64] + `"}`

// secretsManager stands in for Secrets Manager. It hands out the keys, and the
// password of Redis.
func secretsManager(t *testing.T, password string) *httptest.Server {
	t.Helper()
	secrets := map[string]string{secretARN: keysText, passwordARN: password, webhookARN: webhookSecret, rpcARN: `{"1":["https://rpc.invalid"]}`}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ SecretID string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		text, known := secrets[asked.SecretID]
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetSecretValue") || !known {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"ARN": asked.SecretID, "Name": "secret", "SecretString": text, "VersionId": "1", "VersionStages": []string{"AWSCURRENT"}})
	}))
	t.Cleanup(server.Close)
	return server
}

// environment is what the template gives a function, with the given values in place of what is known only once the stack
// is there, by the way they read.
func environment(t *testing.T, f node, known map[string]string) []string {
	t.Helper()
	variables, _ := f.at("Environment", "Variables").value.(map[string]any)
	var all []string
	for name, value := range variables {
		text, is := value.(string)
		if !is {
			if text, is = known[node{value}.String()]; !is {
				t.Fatalf("%s is %s, which is not known", name, node{value})
			}
		}
		all = append(all, name+"="+text)
	}
	return all
}

var parameter = regexp.MustCompile(`\{(\w+)\+?\}`)

// request is a request for a route, without credentials and without a body.
func request(route gateway.Route) map[string]any {
	path := parameter.ReplaceAllString(route.Path, "unknown")
	values := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(route.Path, -1) {
		values[m[1]] = "unknown"
	}
	return map[string]any{
		"version": "2.0", "routeKey": route.Key(), "rawPath": path, "rawQueryString": "", "headers": map[string]string{},
		"pathParameters": values, "isBase64Encoded": false, "requestContext": map[string]any{
			"requestId": "JKJaXmPLvHcESHA=", "stage": "$default", "routeKey": route.Key(),
			"http": map[string]string{"method": route.Method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "test"},
		},
	}
}

// answers are the status of those functions that answer a request without credentials and body in another way than 401.
var answers = map[string]int{"CheckHealthFunction": 200, "IssueNonceFunction": 200, "LogInFunction": 400, "StepUpFunction": 400, describing: 200,
	console: 200}

// scheduled is what EventBridge Scheduler sends to a function, without an input of one's own.
const scheduled = `{"version":"0","id":"d32c5kddcf5bb8c3","detail-type":"Scheduled Event","source":"aws.scheduler","account":"000000000000",` +
	`"time":"2026-11-23T10:00:00Z","region":"us-east-1","resources":["arn:aws:scheduler:us-east-1:000000000000:schedule/default/x"],"detail":"{}"}`

// asked are the events of those functions that have no route, and whether they refuse them.
var asked = map[string]struct {
	event   string
	refuses bool
	wants   string
}{
	"SweepSessionsFunction":   {scheduled, false, `null`},
	"PublishEventsFunction":   {scheduled, false, `null`},
	"AuthorizerFunction":      {`{"version":"2.0","type":"REQUEST","routeArn":"arn:aws:execute-api:us-east-1:1:a/s/GET/x","headers":{},"requestContext":{"http":{"method":"GET","path":"/x","sourceIp":"203.0.113.7"}}}`, false, `{"isAuthorized":false}`},
	"VerifySignatureFunction": {`{"chain":5,"account":"0xcA11bde05977b3631167028862bE2a173976CA11","digest":"0x` + strings.Repeat("00", 32) + `","signature":"0x"}`, false, `"result":"no_chain"`},
	"RotateKeysFunction":      {`{"Step":"createSecret","SecretId":"` + secretARN + `","ClientRequestToken":"1"}`, true, `rotat`},
}

// Every function that a deployment has starts as a process and answers, with the environment that the template gives it,
// what Lambda itself sets, and where Secrets Manager is found.
func TestFunctions_withTheTemplatesEnvironment(t *testing.T) {
	r := redistest.Server(t)
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := deploy(t, "SiweDomains=app.example.com", "CacheMode=existing", "RedisHost="+host, "RedisPort="+port, "RedisTls=false",
		"RedisUsername="+r.Username, "RedisPasswordSecretArn="+passwordARN, "RedisKeyPrefix="+r.Prefix, "EthereumRpcSecretArn="+rpcARN,
		"Console=app.example.com", "Events=webhook", "EventWebhookUrl=https://hooks.invalid/x", "EventWebhookSecretArn="+webhookARN)
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	declared, err := gateway.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	binaries, vault, seen := lambdatest.Build(t, root), secretsManager(t, r.Password), 0
	for id, f := range s.of("AWS::Lambda::Function") {
		seen++
		t.Run(id, func(t *testing.T) {
			env := append(environment(t, f, map[string]string{ref("SessionKeys"): secretARN, attribute(verifier, "Arn"): verifierARN}),
				"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=role", "AWS_SECRET_ACCESS_KEY=role", "AWS_SESSION_TOKEN=role",
				"AWS_LAMBDA_FUNCTION_NAME="+id, "AWS_ENDPOINT_URL_SECRETS_MANAGER="+vault.URL)
			process := lambdatest.Start(t, filepath.Join(binaries, folderOf(id)), env...)
			ask, unrouted := asked[id]
			if unrouted {
				got := process.Invoke(t, []byte(ask.event))
				if got.Failed != ask.refuses || !strings.Contains(string(got.Payload), ask.wants) {
					t.Errorf("failed %v, %s", got.Failed, got.Payload)
				}
				return
			}
			event, err := json.Marshal(request(declared.Functions[id].Routes[0]))
			if err != nil {
				t.Fatal(err)
			}
			var answer struct {
				StatusCode int    `json:"statusCode"`
				Body       string `json:"body"`
			}
			got := process.Invoke(t, event)
			if err := json.Unmarshal(got.Payload, &answer); err != nil || got.Failed {
				t.Fatalf("failed %v, %s", got.Failed, got.Payload)
			}
			want, other := answers[id]
			if !other {
				want = http.StatusUnauthorized
			}
			if answer.StatusCode != want {
				t.Errorf("answered %d %s, want %d", answer.StatusCode, answer.Body, want)
			}
		})
	}
	if seen != len(declared.Functions) {
		t.Errorf("%d functions were started, %d are declared", seen, len(declared.Functions))
	}
}

// folderOf turns LogInFunction into log-in.
func folderOf(id string) string {
	words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(strings.TrimSuffix(id, "Function"), -1)
	return strings.ToLower(strings.Join(words, "-"))
}

// In every mode of the cache the environment is one that a function starts with.
func TestFunctions_configurationOfEveryMode(t *testing.T) {
	known := map[string]string{
		attribute(verifier, "Arn"): verifierARN, attribute("EventBus", "Arn"): busARN,
		ref("SessionKeys"): secretARN, ref("Cache"): "latchkey-1", ref("Nodes"): "latchkey-1", ref("CacheUser"): "latchkey-1",
		attribute("Cache", "Endpoint.Address"): "cache.example.com", attribute("Cache", "Endpoint.Port"): "6379",
		attribute("Nodes", "ConfigurationEndPoint.Address"): "cache.example.com", attribute("Nodes", "ConfigurationEndPoint.Port"): "6379",
	}
	for name, parameters := range ways {
		for id, f := range deploy(t, append([]string{"SiweDomains=app.example.com"}, parameters...)...).of("AWS::Lambda::Function") {
			if id == rotation || servesFiles(id) { // they have no use for most
				continue
			}
			values := map[string]string{}
			for _, pair := range environment(t, f, known) {
				variable, value, _ := strings.Cut(pair, "=")
				values[variable] = value
			}
			load := config.Load
			if id == verifier {
				load = config.LoadVerifier
			}
			if id == publisher {
				load = config.LoadPublisher
			}
			if _, err := load(func(name string) string { return values[name] }); err != nil {
				t.Errorf("%s, %s: %v", name, id, err)
			}
		}
	}
}
