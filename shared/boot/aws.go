package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// surroundings are what a process finds around it.
type surroundings struct {
	getenv func(string) string
	now    func() time.Time
	log    *slog.Logger
}

func here(log *slog.Logger) surroundings {
	return surroundings{getenv: os.Getenv, now: time.Now, log: log}
}

// wall is the time of day alone. The clock that Go measures spans with stands while an instance is frozen.
func (s surroundings) wall() time.Time { return s.now().Round(0) }

// Retrieve implements aws.CredentialsProvider with the function's role, as Lambda puts it in the environment: read at
// every call, so that new ones are seen. aws-sdk-go-v2/config would do it too, and links every other way to come by
// credentials.
func (s surroundings) Retrieve(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID:     s.getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: s.getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    s.getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	if !c.HasKeys() {
		return aws.Credentials{}, errors.New("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: are not set; a Lambda has both")
	}
	return c, nil
}

// A secret is fetched in this time or not at all: twice, where the first attempt failed. It is a fraction of what a
// function has to start, and of the 10 seconds that it has to answer.
const (
	attemptTimeout = 1500 * time.Millisecond
	secretTimeout  = 3200 * time.Millisecond
)

// secretsManager is a client for the region of a secret.
func (s surroundings) secretsManager(arn string) *secretsmanager.Client {
	o := secretsmanager.Options{
		Region:      regionOf(arn),
		Credentials: s,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = 2, 100*time.Millisecond
		}),
		HTTPClient: &http.Client{
			Timeout: attemptTimeout,
			Transport: &http.Transport{
				Proxy:       http.ProxyFromEnvironment,
				DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
				// Between two calls lie minutes, and an instance that was frozen: a connection would hardly outlive that.
				DisableKeepAlives: true,
				ForceAttemptHTTP2: true,
			},
		},
	}
	if url := cmp.Or(s.getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER"), s.getenv("AWS_ENDPOINT_URL")); url != "" {
		o.BaseEndpoint = &url
	}
	return secretsmanager.New(o)
}

// regionOf is an ARN's region. setSecretARN has seen to it that there is one.
func regionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 5)
	return parts[min(3, len(parts)-1)]
}

// secret fetches the current value of a secret.
func (s surroundings) secret(arn string) func(context.Context) (string, error) {
	client := s.secretsManager(arn)
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, secretTimeout)
		defer cancel()
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: aws.String(stageCurrent)})
		if err != nil {
			return "", cloudFault(err)
		}
		if out.SecretString == nil {
			return "", errors.New("the secret holds bytes and no text")
		}
		return *out.SecretString, nil
	}
}

// cloudFault says what is to be known of a failed call to AWS. A complaint about the signature is cut to its code: it may
// repeat the request, which holds the role's session token.
func cloudFault(err error) error {
	var said smithy.APIError
	switch {
	case !errors.As(err, &said):
		return fmt.Errorf("asking Secrets Manager: %w", err)
	case strings.Contains(said.ErrorCode(), "Signature"):
		return fmt.Errorf("answer of Secrets Manager: %s", said.ErrorCode())
	}
	return fmt.Errorf("answer of Secrets Manager: %s: %s", said.ErrorCode(), said.ErrorMessage())
}
