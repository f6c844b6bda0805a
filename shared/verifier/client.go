package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"latchkey/shared/awsenv"
	"latchkey/shared/chain"
)

// invokeTimeout bounds an invocation. It is longer than the verifier may take,
// and leaves the caller, which has ten seconds, time to answer.
const invokeTimeout = 7500 * time.Millisecond

// retryAfter is when to try again after an invocation without an answer.
const retryAfter = time.Second

// Client asks the function verify-signature. It implements api.Contracts.
type Client struct {
	lambda *lambda.Client
	arn    string
}

// NewClient returns a client of the function with that ARN. It is invoked with
// the role of this one.
func NewClient(env awsenv.Environment, arn string) *Client {
	return &Client{env.Lambda(arn), arn}
}

// Verify returns the errors of [chain.Verifier.Verify]. An invocation that
// fails, that Lambda throttles, or whose answer is malformed or repeats another
// question is a [*chain.TroubleError]. It invokes the function once.
func (c *Client) Verify(ctx context.Context, q chain.Question) error {
	ctx, cancel := context.WithTimeout(ctx, invokeTimeout)
	defer cancel()
	payload, err := json.Marshal(newEvent(q))
	if err != nil {
		return troubleOf(q, retryAfter, "encoding the event: "+err.Error())
	}
	out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &c.arn, Payload: payload})
	switch {
	case err != nil:
		return troubleOf(q, retryAfter, describe(err))
	case out.FunctionError != nil:
		return troubleOf(q, retryAfter, "the verifier failed: "+aws.ToString(out.FunctionError))
	case out.StatusCode != http.StatusOK:
		return troubleOf(q, retryAfter, fmt.Sprintf("Lambda answered %d", out.StatusCode))
	}
	return read(q, out.Payload)
}

// read returns what the answer to a question says.
func read(q chain.Question, payload []byte) error {
	a, ok := parseAnswer(payload)
	e := newEvent(q)
	switch {
	case !ok:
		return troubleOf(q, retryAfter, "the verifier's answer is malformed")
	case a.Chain != e.Chain || a.Account != e.Account || a.Digest != e.Digest:
		return troubleOf(q, retryAfter, "the verifier answered another question")
	}
	switch a.Result {
	case accepted:
		return nil
	case refused:
		return fmt.Errorf("%w: %s", chain.ErrRefused, a.Reason)
	case disagree:
		return chain.ErrDisagree
	case noChain:
		return chain.ErrNoChain
	case trouble:
		return troubleOf(q, max(retryAfter, time.Duration(a.RetryAfterSeconds)*time.Second), a.Reason)
	}
	return troubleOf(q, retryAfter, "the verifier's answer is malformed")
}

func troubleOf(q chain.Question, wait time.Duration, reason string) error {
	return &chain.TroubleError{Chain: q.Chain, RetryAfter: wait, Reasons: []string{reason}}
}

// describe says why an invocation failed. Of an error of Lambda it has the code
// alone: the message of one about the request's signature may repeat the
// request, which has the role's session token.
func describe(err error) string {
	var reply smithy.APIError
	if errors.As(err, &reply) {
		return "invoking the verifier: " + reply.ErrorCode()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "invoking the verifier: no answer in time"
	}
	return "invoking the verifier: " + err.Error()
}
