package awssockets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/protected-api/awssockets"
	"latchkey/local/protected-api/echo"
	"latchkey/local/protected-api/sockets"
	"latchkey/local/test/awstest"
	"latchkey/local/test/redistest"
	"latchkey/shared/awsenv"
	"latchkey/shared/eventbridge"
	"latchkey/shared/events"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// variables are those of the functions, with stand-ins for AWS.
func variables(moto, stage string) awssockets.Environment {
	values := map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session",
		"AWS_ENDPOINT_URL_DYNAMODB": moto, "AWS_ENDPOINT_URL_EVENTBRIDGE": moto, "TABLE": "connections", "STAGE_URL": stage,
	}
	return func(name string) string { return values[name] }
}

// call calls moto, and returns its answer.
func call(t *testing.T, moto, service, version, action string, in map[string]any) map[string]any {
	t.Helper()
	body, err := json.Marshal(in)
	must(t, err)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, moto, bytes.NewReader(body))
	must(t, err)
	r.Header.Set("X-Amz-Target", action)
	r.Header.Set("Content-Type", "application/x-amz-json-"+version)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	out := map[string]any{}
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil && answer.StatusCode != http.StatusOK || answer.StatusCode > 299 {
		t.Fatalf("%s: %d, %v, %v", action, answer.StatusCode, err, out)
	}
	return out
}

// newTable makes the table of the template, with nothing in it.
func newTable(t *testing.T, moto string) {
	t.Helper()
	call(t, moto, "dynamodb", "1.0", "DynamoDB_20120810.CreateTable", map[string]any{
		"TableName": "connections", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []map[string]any{{"AttributeName": "session", "AttributeType": "S"}, {"AttributeName": "connection", "AttributeType": "S"}},
		"KeySchema":            []map[string]any{{"AttributeName": "session", "KeyType": "HASH"}, {"AttributeName": "connection", "KeyType": "RANGE"}},
	})
	t.Cleanup(func() {
		call(t, moto, "dynamodb", "1.0", "DynamoDB_20120810.DeleteTable", map[string]any{"TableName": "connections"})
	})
}

// stage is a stand-in for the API that closes connections.
type stage struct {
	*httptest.Server
	mu   sync.Mutex
	open map[string]bool
}

func newStage(t *testing.T) *stage {
	s := &stage{open: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		id, ok := strings.CutPrefix(r.URL.EscapedPath(), "/live/@connections/")
		signed := strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") &&
			strings.Contains(r.Header.Get("Authorization"), "/us-east-1/execute-api/aws4_request") && r.Header.Get("X-Amz-Security-Token") == "session"
		switch {
		case !ok || r.Method != http.MethodDelete || !signed:
			t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
			w.WriteHeader(http.StatusForbidden)
		case id == "away%3D":
			w.WriteHeader(http.StatusInternalServerError)
		case !s.open[id]:
			w.WriteHeader(http.StatusGone)
		default:
			delete(s.open, id)
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stage) ids() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.open {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

func TestTable(t *testing.T) {
	moto := awstest.Moto(t)
	newTable(t, moto)
	now := time.UnixMilli(1764288000123)
	table, ctx := awssockets.NewTable(variables(moto, ""), func() time.Time { return now }), t.Context()
	one, two := sockets.Connection{ID: "one=", Session: "a", Opened: now}, sockets.Connection{ID: "two=", Session: "a", Opened: now.Add(time.Second)}
	other := sockets.Connection{ID: "one=", Session: "b", Opened: now}
	for _, c := range []sockets.Connection{one, two, other, two} {
		must(t, table.Put(ctx, c))
	}
	wants := func(session string, ended bool, want ...sockets.Connection) {
		t.Helper()
		got, err := table.Of(ctx, session)
		has, errEnded := table.HasEnded(ctx, session)
		if !slices.EqualFunc(got, want, func(a, b sockets.Connection) bool {
			return a.ID == b.ID && a.Session == b.Session && a.Opened.Equal(b.Opened)
		}) || err != nil || has != ended || errEnded != nil {
			t.Errorf("%s: %+v, %v, ended %t, %v", session, got, err, has, errEnded)
		}
	}
	wants("a", false, one, two)
	must(t, table.End(ctx, "a"))
	must(t, table.End(ctx, "a"))
	wants("a", true, one, two)
	must(t, table.Remove(ctx, one))
	must(t, table.Remove(ctx, one))
	wants("a", true, two)
	wants("b", false, other)
	// Nothing is kept for ever, and nothing secret.
	items := call(t, moto, "dynamodb", "1.0", "DynamoDB_20120810.Scan", map[string]any{"TableName": "connections"})["Items"].([]any)
	for _, it := range items {
		attributes := it.(map[string]any)
		expires := attributes["expires"].(map[string]any)["N"]
		want := fmt.Sprint(now.Add(sockets.LongestConnection).Unix())
		if attributes["connection"].(map[string]any)["S"] == "#ended" {
			want = fmt.Sprint(now.Add(sockets.EndKept).Unix())
		}
		if expires != want || len(attributes) > 4 {
			t.Errorf("%v", attributes)
		}
	}
	if len(items) != 3 {
		t.Errorf("the table has %d items", len(items))
	}
	// More connections than one answer holds.
	for i := range 40 {
		must(t, table.Put(ctx, sockets.Connection{ID: fmt.Sprint(i) + strings.Repeat("=", 900), Session: strings.Repeat("c", 2000), Opened: now}))
	}
	if all, err := table.Of(ctx, strings.Repeat("c", 2000)); len(all) != 40 || err != nil {
		t.Errorf("%d connections, %v", len(all), err)
	}
	away := awssockets.NewTable(variables(moto, ""), time.Now)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := away.HasEnded(ended, "a"); err == nil {
		t.Error("a fault is an answer")
	}
	if _, err := away.Of(ended, "a"); err == nil {
		t.Error("a fault is an answer")
	}
}

func TestCloser(t *testing.T) {
	s := newStage(t)
	s.open["a%2Fb%3D"] = true
	c := awssockets.NewCloser(variables("", s.URL+"/live/"), time.Now)
	must(t, c.Close(t.Context(), "a/b="))
	if err := c.Close(t.Context(), "a/b="); !errors.Is(err, sockets.ErrGone) {
		t.Errorf("once more: %v", err)
	}
	if err := c.Close(t.Context(), "away="); err == nil || errors.Is(err, sockets.ErrGone) || !strings.Contains(err.Error(), "500") {
		t.Errorf("while it is away: %v", err)
	}
	s.Close()
	if err := c.Close(t.Context(), "x"); err == nil || errors.Is(err, sockets.ErrGone) {
		t.Errorf("after that: %v", err)
	}
	none := func(string) string { return "" }
	if err := awssockets.NewCloser(none, time.Now).Close(t.Context(), "x"); err == nil {
		t.Error("without credentials")
	}
}

// world is the store with its publisher, and the example on stand-ins for AWS.
type world struct {
	t      *testing.T
	moto   string
	queue  string
	store  *session.Store
	now    atomic.Int64 // nanoseconds
	stage  *stage
	table  *awssockets.Table
	logins int
}

func (w *world) clock() time.Time { return time.Unix(0, w.now.Load()) }

func newWorld(t *testing.T, limit int) *world {
	t.Helper()
	moto, r := awstest.Moto(t), redistest.Embedded(t)
	w := &world{t: t, moto: moto, stage: newStage(t)}
	w.now.Store(time.Now().UnixNano())
	newTable(t, moto)
	w.table = awssockets.NewTable(variables(moto, ""), w.clock)
	secret := []byte("0123456789abcdef0123456789abcdef")
	ring, err := seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, secret))
	must(t, err)
	opts := session.Options{
		Prefix: r.Prefix, Idle: time.Hour, Absolute: 12 * time.Hour, Access: 15 * time.Minute, Grace: time.Minute,
		Touch: time.Minute, SessionLimit: limit, StepUp: 5 * time.Minute, PreferencesKeep: 24 * time.Hour, StateQuota: 1 << 10,
	}
	for _, of := range events.Types() {
		opts.Outbox.Types = append(opts.Outbox.Types, of)
	}
	w.store = session.NewStore(r.NewProduct(t), ring, opts, w.clock)
	w.publish()
	return w
}

// publish makes bus, rule and queue of the templates, and runs the publisher until the test ends.
func (w *world) publish() {
	bus := strings.ReplaceAll(w.t.Name(), "/", "-")
	w.call("events", "AWSEvents.CreateEventBus", map[string]any{"Name": bus})
	w.queue = w.call("sqs", "AmazonSQS.CreateQueue", map[string]any{"QueueName": bus})["QueueUrl"].(string)
	w.call("events", "AWSEvents.PutRule", map[string]any{
		"Name": "ends", "EventBusName": bus, "EventPattern": `{"source":["latchkey"],"detail-type":["session.ended"]}`,
	})
	w.call("events", "AWSEvents.PutTargets", map[string]any{
		"Rule": "ends", "EventBusName": bus, "Targets": []map[string]any{{"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:123456789012:" + bus}},
	})
	env := awsenv.Environment{Now: time.Now, Getenv: variables(w.moto, "")}
	sink := eventbridge.New(env, "arn:aws:events:us-east-1:123456789012:event-bus/"+bus)
	running, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		p := events.NewPublisher(w.store, sink, true, w.clock, func(what string, err error) { w.t.Error(what, err) })
		if _, err := p.Run(running); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(func() { stop(); ended.Wait() })
}

func (w *world) call(service, action string, in map[string]any) map[string]any {
	w.t.Helper()
	return call(w.t, w.moto, service, "1.1", action, in)
}

// signIn signs an account in.
func (w *world) signIn(account byte) session.Grant {
	w.t.Helper()
	w.logins++
	grant, err := w.store.Create(w.t.Context(), session.Login{
		Nonce: fmt.Sprint(w.logins), Account: token.KeyAccount(common.Address{account}), ChainID: 1, Client: session.Client{Transport: session.Bearer},
	})
	must(w.t, err)
	return grant
}

// connect opens a connection of a session.
func (w *world) connect(of token.ID, id string) {
	w.t.Helper()
	var e lambdaevents.APIGatewayWebsocketProxyRequest
	e.RequestContext.EventType, e.RequestContext.ConnectionID = "CONNECT", id
	e.RequestContext.Authorizer = map[string]any{"userId": of.User.String(), "account": "0x1", "sessionId": of.String()}
	var answer lambdaevents.APIGatewayProxyResponse
	w.invoke(sockets.Handler(w.table, w.clock, echo.Handler()), e, &answer)
	if answer.StatusCode != http.StatusOK {
		w.t.Fatalf("connecting: %d", answer.StatusCode)
	}
	w.stage.mu.Lock()
	defer w.stage.mu.Unlock()
	w.stage.open[url.QueryEscape(id)] = true
}

func (w *world) invoke(f lambda.Handler, in, out any) {
	w.t.Helper()
	payload, err := json.Marshal(in)
	must(w.t, err)
	output, err := f.Invoke(w.t.Context(), payload)
	must(w.t, err)
	must(w.t, json.Unmarshal(output, out))
}

// consume has the consumer take what is in the queue, until it has taken an event. It returns the reasons.
func (w *world) consume() (reasons []string) {
	w.t.Helper()
	consumer := sockets.Consumer(w.table, awssockets.NewCloser(variables("", w.stage.URL+"/live"), time.Now), w.clock, slog.New(slog.DiscardHandler))
	for deadline := time.Now().Add(time.Minute); len(reasons) == 0; {
		if time.Now().After(deadline) {
			w.t.Fatal("no event arrived")
		}
		out := w.call("sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": w.queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1})
		messages, _ := out["Messages"].([]any)
		var batch lambdaevents.SQSEvent
		for i, m := range messages {
			body := m.(map[string]any)["Body"].(string)
			batch.Records = append(batch.Records, lambdaevents.SQSMessage{MessageId: fmt.Sprint(i), Body: body})
			var event struct{ Detail events.Message }
			must(w.t, json.Unmarshal([]byte(body), &event))
			reasons = append(reasons, event.Detail.Reason)
			w.call("sqs", "AmazonSQS.DeleteMessage", map[string]any{"QueueUrl": w.queue, "ReceiptHandle": m.(map[string]any)["ReceiptHandle"]})
		}
		for range 2 { // a repeat is harmless
			var response lambdaevents.SQSEventResponse
			if w.invoke(consumer, batch, &response); len(response.BatchItemFailures) > 0 {
				w.t.Errorf("failed: %v", response.BatchItemFailures)
			}
		}
	}
	return reasons
}

// However a session ends, its connections are closed: from the script that ends it, through outbox, publisher, bus, rule
// and queue, to the request that closes them.
func TestEnds(t *testing.T) {
	for reason, end := range map[string]func(w *world, of session.Grant){
		"logged_out": func(w *world, of session.Grant) {
			_, err := w.store.Revoke(w.t.Context(), of.Session.ID, session.LoggedOut, session.Change{})
			must(w.t, err)
		},
		"evicted": func(w *world, of session.Grant) { w.signIn(1) },
		"account_blocked": func(w *world, of session.Grant) {
			must(w.t, w.store.Block(w.t.Context(), of.Session.ID.User, session.Change{}))
		},
		"account_erased": func(w *world, of session.Grant) {
			must(w.t, w.store.Erase(w.t.Context(), of.Session.ID.User, session.Change{}))
		},
		"idle_timeout": func(w *world, of session.Grant) {
			w.now.Add(int64(time.Hour + time.Second))
			_, err := w.store.Sweep(w.t.Context())
			must(w.t, err)
		},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, 1)
			grant, other := w.signIn(1), w.signIn(2)
			w.connect(grant.Session.ID, "first=")
			w.connect(grant.Session.ID, "second=")
			w.connect(other.Session.ID, "other=")
			end(w, grant)
			got := w.consume()
			want, open := []string{reason}, []string{"other%3D"}
			if reason == "idle_timeout" { // of both accounts
				for len(got) < 2 {
					got = append(got, w.consume()...)
				}
				want, open = []string{reason, reason}, nil
			}
			if !slices.Equal(got, want) || !slices.Equal(w.stage.ids(), open) {
				t.Errorf("ended by %q, open are %q", got, w.stage.ids())
			}
		})
	}
}

// An error about the signature repeats the request, with the role's session token. The functions log errors.
func TestTable_signature(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"__type":"InvalidSignatureException","message":"The Canonical String was x-amz-security-token:secret-of-the-role"}`))
	}))
	defer server.Close()
	table, ctx := awssockets.NewTable(variables(server.URL, ""), time.Now), t.Context()
	_, of := table.Of(ctx, "s")
	_, ended := table.HasEnded(ctx, "s")
	for name, err := range map[string]error{
		"Put": table.Put(ctx, sockets.Connection{ID: "c", Session: "s"}), "Remove": table.Remove(ctx, sockets.Connection{ID: "c", Session: "s"}),
		"End": table.End(ctx, "s"), "Of": of, "HasEnded": ended,
	} {
		if err == nil || !strings.Contains(err.Error(), "InvalidSignatureException") || strings.Contains(err.Error(), "secret-of-the-role") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
