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

	"latchkey/shared/strictjson"
)

// function is a Lambda handler with its timeout.
type function struct {
	name    string
	handler lambda.Handler
	timeout time.Duration
	idle    chan job // unbuffered: received only by idle instances
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

// errUnavailable means that the integration timeout of the gateway passed. A
// function that exceeds its own Timeout has failed instead.
var errUnavailable = errors.New("no response within the integration timeout")

// invoke runs the function and returns its response.
func (f *function) invoke(ctx context.Context, payload []byte) (*answer, error) {
	output, err := f.call(ctx, payload, integrationTimeout)
	if err != nil {
		return nil, err
	}
	return parseAnswer(output)
}

// call runs the function and returns its output. The context has the deadline
// that Lambda would set; most is how long the gateway waits. A function that
// runs longer is left running: Lambda would freeze it.
func (f *function) call(ctx context.Context, payload []byte, most time.Duration) ([]byte, error) {
	patience, late := f.timeout, error(context.DeadlineExceeded)
	if patience > most {
		patience, late = most, errUnavailable
	}
	// If the client hangs up, the Lambda goes on.
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

// instanceIdle is how long an instance waits for its next event.
const instanceIdle = time.Minute

// start gives a job to an idle instance, or to a new one. As in Lambda, an
// instance serves one event at a time, and ends after an event that takes too
// long. Instances are kept because the stack of a new goroutine would grow
// again for every event.
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

// run turns a panic into an error. A panic would end the Lambda, not the
// gateway.
func (f *function) run(ctx context.Context, payload []byte) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f.handler.Invoke(ctx, payload)
}

// answer is the response of a function, in payload format 2.0.
type answer struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`

	content []byte // the body, decoded
}

// parseAnswer decodes the response of a function. A missing status is an error
// here, because no function of this project leaves it out. API Gateway would
// generate a response instead.
func parseAnswer(output []byte) (*answer, error) {
	if len(output) > maxEvent {
		return nil, fmt.Errorf("reading the response: %d bytes are more than Lambda allows",
			len(output))
	}
	var a answer
	if err := json.Unmarshal(output, &a, strictjson.AnyText); err != nil {
		return nil, fmt.Errorf("reading the response: %w", err)
	}
	if a.StatusCode < 200 || a.StatusCode > 599 {
		return nil, fmt.Errorf("reading the response: statusCode %d is not from 200 to 599",
			a.StatusCode)
	}
	a.content = []byte(a.Body)
	if a.IsBase64Encoded {
		content, err := base64.StdEncoding.DecodeString(a.Body)
		if err != nil {
			return nil, fmt.Errorf("reading the response: %w", err)
		}
		a.content = content
	}
	return &a, nil
}

// header copies the headers and cookies of the response to those of an HTTP
// response.
func (a *answer) header(to http.Header) {
	for name, value := range a.Headers {
		to.Set(name, value)
	}
	for name := range hopByHop {
		to.Del(name)
	}
	to.Del("Content-Length") // the HTTP server sets it
	for _, cookie := range a.Cookies {
		to.Add("Set-Cookie", cookie)
	}
	if to.Get("Content-Type") == "" && len(a.content) > 0 {
		to.Set("Content-Type", "text/plain;charset=UTF-8")
	}
}
