// Package awsenv is what a process finds around it: clock, log, environment
// variables, and the AWS credentials that follow from them. It is the only
// package that reads the process's environment. Of AWS's clients it has the one
// of Secrets Manager alone: every function links this package.
package awsenv

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Environment is what a process finds around it. [New] has the process's own;
// tests set the fields. None may be nil if it is used.
type Environment struct {
	// Getenv returns the value of an environment variable, which is empty if
	// the variable is not set.
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
	// Log is the process's log, for errors that are not returned.
	Log *slog.Logger
}

// New returns the process's environment with that log.
func New(log *slog.Logger) Environment {
	return Environment{Getenv: os.Getenv, Now: time.Now, Log: log}
}

// Variables returns the names of the process's environment variables that have a
// value.
func Variables() []string {
	var names []string
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); name != "" && value != "" {
			names = append(names, name)
		}
	}
	return names
}

// WallTime returns the time of day without a monotonic reading. The monotonic
// clock stands still while Lambda has frozen an instance, so spans measured
// with it would be too short.
func (e Environment) WallTime() time.Time { return e.Now().Round(0) }

// Retrieve implements [aws.CredentialsProvider] with the credentials of the
// function's role, which Lambda keeps in the environment. Every call reads them
// anew. The package aws-sdk-go-v2/config would do the same, and would link
// every other way to get credentials.
func (e Environment) Retrieve(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID:     e.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: e.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    e.Getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	if !c.HasKeys() {
		return aws.Credentials{}, errors.New(
			"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: are not set; Lambda sets both")
	}
	return c, nil
}

// The timeouts of one attempt of a call to AWS, and of connecting for it.
const (
	attemptTimeout = 1500 * time.Millisecond
	dialTimeout    = time.Second
)

// SecretsManager returns a client for the region of a secret's ARN. It makes a
// call at most twice. AWS_ENDPOINT_URL_SECRETS_MANAGER or AWS_ENDPOINT_URL, if
// set, replaces the region's endpoint, as with every AWS SDK.
func (e Environment) SecretsManager(arn string) *secretsmanager.Client {
	o := secretsmanager.Options{
		Region:      Region(arn),
		Credentials: e,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = 2, 100*time.Millisecond
		}),
		HTTPClient:   NewHTTPClient(attemptTimeout),
		BaseEndpoint: e.Endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
	}
	return secretsmanager.New(o)
}

// NewHTTPClient returns an HTTP client for calls to AWS with that timeout; 0
// means none.
func NewHTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
			// Calls are often minutes apart, and the instance may have been
			// frozen in between: a connection would rarely survive that.
			DisableKeepAlives: true,
			ForceAttemptHTTP2: true,
		},
	}
}

// Endpoint returns the endpoint that a variable or AWS_ENDPOINT_URL sets in
// place of the region's, or nil.
func (e Environment) Endpoint(variable string) *string {
	if url := cmp.Or(e.Getenv(variable), e.Getenv("AWS_ENDPOINT_URL")); url != "" {
		return &url
	}
	return nil
}

// Region returns the region of an ARN. The configuration has checked that there
// is one.
func Region(arn string) string {
	parts := strings.SplitN(arn, ":", 5)
	return parts[min(3, len(parts)-1)]
}
