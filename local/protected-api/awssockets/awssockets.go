// Package awssockets has what the example of package sockets needs on AWS: a
// table of DynamoDB, and the API that closes connections of API Gateway.
package awssockets

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// timeout bounds each request to AWS.
const timeout = 5 * time.Second

// Environment returns the value of an environment variable, as os.Getenv does.
type Environment func(name string) string

// Retrieve implements [aws.CredentialsProvider]. It returns the credentials
// that Lambda gives a function.
func (e Environment) Retrieve(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID: e("AWS_ACCESS_KEY_ID"), SecretAccessKey: e("AWS_SECRET_ACCESS_KEY"),
		SessionToken: e("AWS_SESSION_TOKEN"), Source: "environment",
	}
	if !c.HasKeys() {
		return aws.Credentials{}, errors.New("the environment has no credentials")
	}
	return c, nil
}

// endpoint returns the value of a variable that replaces an endpoint of AWS, or
// nil.
func (e Environment) endpoint(name string) *string {
	if value := e(name); value != "" {
		return aws.String(strings.TrimSuffix(value, "/"))
	}
	return nil
}

func newHTTPClient() *http.Client { return &http.Client{Timeout: timeout} }
