package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/go-json-experiment/json"
)

// function is a Lambda handler and how long it may take.
type function struct {
	name    string
	handler lambda.Handler
	timeout time.Duration
	idle    chan job // an instance that waits takes it at once
}

func newFunction(name string, handler lambda.Handler, timeout time.Duration) *function {
	return &function{name, handler, timeout, make(chan job)}
}

// job is an event for an instance.
type job struct {
	ctx     context.Context
	payload []byte
	done    chan<- outcome
}

type outcome struct {
	output []byte
	err    error
}

// errUnavailable is the gateway's own patience running out, as against a function's
// Timeout, which is a failure of the function.
var errUnavailable = errors.New("no answer within the integration timeout")

// invoke runs the function and returns its answer.
func (f *function) invoke(ctx context.Context, payload []byte) (*answer, error) {
	output, err := f.call(ctx, payload, integrationTimeout)
	if err != nil {
		return nil, err
	}
	return parseAnswer(output)
}

// call runs the function and returns its output. Its context carries the deadline that
// Lambda would set; most is how long the gateway waits for it. A function that goes on
// after it is left behind: Lambda would freeze it.
func (f *function) call(ctx context.Context, payload []byte, most time.Duration) ([]byte, error) {
	patience, late := f.timeout, error(context.DeadlineExceeded)
	if patience > most {
		patience, late = most, errUnavailable
	}
	// A client that hangs up does not stop a Lambda.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()

	done := make(chan outcome, 1)
	f.start(job{ctx, payload, done})
	select {
	case o := <-done:
		if o.err == nil || ctx.Err() == nil {
			return o.output, o.err
		}
	case <-ctx.Done():
	}
	return nil, fmt.Errorf("waiting %s: %w", patience, late)
}

// instanceIdle is for how long an instance waits for its next event.
const instanceIdle = time.Minute

// start hands a job to an idle instance, or to a new one. As a Lambda's, an instance serves one event at a time, and ends
// with one that takes too long; that it is kept spares a goroutine whose stack grows anew with every event.
func (f *function) start(j job) {
	select {
	case f.idle <- j:
	default:
		go f.instance(j)
	}
}

func (f *function) instance(j job) {
	idle := time.NewTimer(instanceIdle)
	defer idle.Stop()
	for {
		output, err := f.run(j.ctx, j.payload)
		late := j.ctx.Err() != nil
		j.done <- outcome{output, err}
		if late {
			return
		}
		idle.Reset(instanceIdle)
		select {
		case j = <-f.idle:
		case <-idle.C:
			return
		}
	}
}

// run turns a panic into an error: it would end the Lambda, not the gateway.
func (f *function) run(ctx context.Context, payload []byte) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f.handler.Invoke(ctx, payload)
}

// answer is what a function returned, in payload format 2.0.
type answer struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`

	content []byte // the body, decoded
}

// parseAnswer decodes what a function returned. API Gateway makes up a response for
// an answer without a status; none of ours leaves it out, so here that is an error.
func parseAnswer(output []byte) (*answer, error) {
	if len(output) > maxEvent {
		return nil, fmt.Errorf("reading the answer: %d bytes are more than Lambda returns", len(output))
	}
	var a answer
	if err := json.Unmarshal(output, &a, anyText); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if a.StatusCode < 200 || a.StatusCode > 599 {
		return nil, fmt.Errorf("reading the answer: statusCode %d", a.StatusCode)
	}
	a.content = []byte(a.Body)
	if a.IsBase64Encoded {
		content, err := base64.StdEncoding.DecodeString(a.Body)
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		a.content = content
	}
	return &a, nil
}

// header returns the answer's headers and cookies as those of an HTTP response.
func (a *answer) header(to http.Header) {
	for name, value := range a.Headers {
		to.Set(name, value)
	}
	for name := range hopByHop {
		to.Del(name)
	}
	to.Del("Content-Length") // the server counts by itself
	for _, cookie := range a.Cookies {
		to.Add("Set-Cookie", cookie)
	}
	if to.Get("Content-Type") == "" && len(a.content) > 0 {
		to.Set("Content-Type", "text/plain;charset=UTF-8")
	}
}
