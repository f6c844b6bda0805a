// Package verifierclient asks the function verify-signature whether a contract
// accepts a signature. It links AWS's client of Lambda, which allocates 0.8 MB
// at every start, and so makes each garbage collection longer. So only functions
// that ask import it, and the local server.
package verifierclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/chain"
	"latchkey/shared/verifier"
)

// invokeTimeout bounds an invocation. It is longer than the verifier may take,
// and leaves the caller, which has ten seconds, time to answer.
const invokeTimeout = 7500 * time.Millisecond

// client implements [api.Contracts].
type client struct {
	lambda *lambda.Client
	arn    string
}

// New returns a client of the function with that ARN. It is invoked with the
// role of this one, in the region of the ARN. AWS_ENDPOINT_URL_LAMBDA or
// AWS_ENDPOINT_URL, if set, replaces the region's endpoint.
func New(env awsenv.Environment, arn string) api.Contracts {
	return &client{arn: arn, lambda: lambda.New(lambda.Options{
		Region:       awsenv.Region(arn),
		Credentials:  env,
		Retryer:      aws.NopRetryer{},
		HTTPClient:   awsenv.NewHTTPClient(0), // the context has the timeout
		BaseEndpoint: env.Endpoint("AWS_ENDPOINT_URL_LAMBDA"),
	})}
}

// Verify returns the errors of [chain.Verifier.Verify]. An invocation that
// fails, that Lambda throttles, or whose answer is malformed or repeats another
// question is a [*chain.TroubleError]. It invokes the function once.
func (c *client) Verify(ctx context.Context, q chain.Question) error {
	ctx, cancel := context.WithTimeout(ctx, invokeTimeout)
	defer cancel()
	payload, err := verifier.EncodeQuestion(q)
	if err != nil {
		return verifier.Trouble(q, "encoding the event: "+err.Error())
	}
	out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &c.arn, Payload: payload})
	switch {
	case err != nil:
		return verifier.Trouble(q, describe(err))
	case out.FunctionError != nil:
		return verifier.Trouble(q, "the verifier failed: "+aws.ToString(out.FunctionError))
	case out.StatusCode != http.StatusOK:
		return verifier.Trouble(q, fmt.Sprintf("Lambda answered %d", out.StatusCode))
	}
	return verifier.ReadAnswer(q, out.Payload)
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
