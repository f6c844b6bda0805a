package secrets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"latchkey/shared/awsenv"
)

// fetchTimeout bounds fetching a secret, which is attempted twice. It is a
// fraction of the time that a function has to start, and of the 10 seconds that
// it has to answer.
const fetchTimeout = 3200 * time.Millisecond

// fetcher returns a function that fetches the current value of a secret.
func fetcher(env awsenv.Environment, arn string) func(context.Context) (string, error) {
	client := env.SecretsManager(arn)
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
			SecretId: &arn, VersionStage: aws.String(stageCurrent),
		})
		if err != nil {
			return "", describe(err)
		}
		if out.SecretString == nil {
			return "", errors.New("the secret is binary; store it as text")
		}
		return *out.SecretString, nil
	}
}

// describe turns the error of a call to Secrets Manager into one that may be
// logged, and nil into nil. An error about the signature is cut to its code: its
// message may repeat the request, which holds the role's session token.
func describe(err error) error {
	var reply smithy.APIError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &reply):
		return fmt.Errorf("calling Secrets Manager: %w", err)
	case strings.Contains(reply.ErrorCode(), "Signature"):
		return fmt.Errorf("error from Secrets Manager: %s", reply.ErrorCode())
	}
	return fmt.Errorf("error from Secrets Manager: %s: %s", reply.ErrorCode(), reply.ErrorMessage())
}
