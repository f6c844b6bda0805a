package eventbridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/shared/awsenv"
	"latchkey/shared/eventbridge"
	"latchkey/shared/events"
)

var ctx = context.Background()

func delivery(id, user string) events.Delivery {
	return events.Delivery{
		Type: "session.ended", At: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		Message: events.Message{V: 1, ID: id, UserID: user, Reason: "logged_out", Actor: events.Actor{Kind: events.ByUser}, Sequence: 7},
	}
}

// environment is one with credentials and that endpoint.
func environment(endpoint string) awsenv.Environment {
	return awsenv.Environment{Now: time.Now, Getenv: func(name string) string {
		switch name {
		case "AWS_ENDPOINT_URL_EVENTBRIDGE":
			return endpoint
		case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
			return "test"
		}
		return ""
	}}
}

const bus = "arn:aws:events:us-east-1:123456789012:event-bus/latchkey"

// A rule on the bus passes the messages on as they were sent.
func TestSend(t *testing.T) {
	moto := awstest.Moto(t)
	call := func(service, action string, in map[string]any) map[string]any {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, moto, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", action)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		out := map[string]any{}
		if err := json.NewDecoder(answer.Body).Decode(&out); err != nil && answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", action, answer.StatusCode, err)
		}
		return out
	}
	call("events", "AWSEvents.CreateEventBus", map[string]any{"Name": "latchkey"})
	queue := call("sqs", "AmazonSQS.CreateQueue", map[string]any{"QueueName": "received"})["QueueUrl"].(string)
	call("events", "AWSEvents.PutRule", map[string]any{
		"Name": "ends", "EventBusName": "latchkey", "EventPattern": `{"source":["latchkey"],"detail-type":["session.ended"]}`,
	})
	call("events", "AWSEvents.PutTargets", map[string]any{
		"Rule": "ends", "EventBusName": "latchkey",
		"Targets": []map[string]any{{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:123456789012:received"}},
	})
	sink := eventbridge.New(environment(moto), bus)
	var all []events.Delivery
	for _, id := range []string{"a", "b", "c"} {
		all = append(all, delivery(id, "user"))
	}
	results, err := sink.Send(ctx, all)
	if err != nil || !slices.Equal(results, []events.Result{events.Accepted, events.Accepted, events.Accepted}) {
		t.Fatalf("%v, %v", results, err)
	}
	var got []string
	for range all {
		out := call("sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": queue, "MaxNumberOfMessages": 10})
		messages, _ := out["Messages"].([]any)
		for _, m := range messages {
			var event struct {
				Source     string         `json:"source"`
				DetailType string         `json:"detail-type"`
				Detail     events.Message `json:"detail"`
			}
			if err := json.Unmarshal([]byte(m.(map[string]any)["Body"].(string)), &event); err != nil {
				t.Fatal(err)
			}
			if event.Source != "latchkey" || event.DetailType != "session.ended" || event.Detail.Reason != "logged_out" || event.Detail.Sequence != 7 {
				t.Errorf("got %+v", event)
			}
			got = append(got, event.Detail.ID)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q", got)
	}
}

// The results of a call follow from what EventBridge says of it, or of each entry.
func TestSend_faults(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   []events.Result
		says   string
	}{
		"accepted": {200, `{"FailedEntryCount":0,"Entries":[{"EventId":"1"},{"EventId":"2"}]}`, []events.Result{events.Accepted, events.Accepted}, ""},
		"one throttled": {
			200, `{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"ThrottlingException","ErrorMessage":"x"}]}`,
			[]events.Result{events.Accepted, events.Failed}, "ThrottlingException",
		},
		"one malformed": {
			200, `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail","ErrorMessage":"x"},{"EventId":"2"}]}`,
			[]events.Result{events.Refused, events.Accepted}, "MalformedDetail",
		},
		"an answer for one": {200, `{"Entries":[{"EventId":"1"}]}`, []events.Result{events.Accepted, events.Failed}, ""},
		"denied":            {400, `{"__type":"AccessDeniedException","message":"no"}`, []events.Result{events.Failed, events.Failed}, "AccessDenied"},
		"throttled":         {400, `{"__type":"ThrottlingException","message":"slow"}`, []events.Result{events.Failed, events.Failed}, "Throttling"},
		"internal":          {500, `{"__type":"InternalException"}`, []events.Result{events.Failed, events.Failed}, "InternalException"},
		"invalid":           {400, `{"__type":"ValidationException","message":"too large"}`, []events.Result{events.Refused, events.Refused}, "ValidationException"},
		"no JSON":           {200, `no`, []events.Result{events.Failed, events.Failed}, "EventBridge"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			results, err := eventbridge.New(environment(server.URL), bus).Send(ctx, []events.Delivery{delivery("a", "u"), delivery("b", "v")})
			if !slices.Equal(results, c.want) {
				t.Errorf("%v, want %v", results, c.want)
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// Of a call that is refused as a whole, as one beyond 256 KB is, each entry is sent alone: only what is wrong itself is refused.
func TestSend_oneTooLarge(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		var in struct{ Entries []struct{ Detail string } }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		size := 0
		for _, e := range in.Entries {
			size += len(e.Detail)
		}
		if size > 1500 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = w.Write([]byte(`{"Entries":[` + strings.Repeat(`{"EventId":"1"},`, len(in.Entries)-1) + `{"EventId":"1"}]}`))
	}))
	defer server.Close()
	large := delivery("b", "v")
	large.Message.Device = strings.Repeat("x", 2000)
	results, err := eventbridge.New(environment(server.URL), bus).Send(ctx, []events.Delivery{delivery("a", "u"), large, delivery("c", "w")})
	if want := []events.Result{events.Accepted, events.Refused, events.Accepted}; !slices.Equal(results, want) || err == nil {
		t.Errorf("%v, %v, want %v", results, err, want)
	}
}

// An error about the signature repeats the request, with the role's session token. It is not told.
func TestSend_signature(t *testing.T) {
	for _, code := range []string{"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusForbidden)
			message := "The Canonical String for this request should have been\nx-amz-security-token:secret-of-the-role"
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
		}))
		results, err := eventbridge.New(environment(server.URL), bus).Send(ctx, []events.Delivery{delivery("a", "u")})
		server.Close()
		if results[0] != events.Failed || err == nil || !strings.Contains(err.Error(), code) || strings.Contains(err.Error(), "secret-of-the-role") {
			t.Errorf("%s: %v, %v", code, results, err)
		}
	}
}

// A backlog is sent over few connections, and not over a new one for each batch.
func TestSend_connection(t *testing.T) {
	var from []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write([]byte(`{"Entries":[{"EventId":"1"}]}`))
	}))
	defer server.Close()
	sink := eventbridge.New(environment(server.URL), bus)
	for range 20 {
		if _, err := sink.Send(ctx, []events.Delivery{delivery("a", "u")}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(from)
	if n := len(slices.Compact(from)); n > 10 {
		t.Errorf("20 batches took %d connections", n)
	}
}
