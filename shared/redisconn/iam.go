package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// emptyHash is the SHA-256 of the empty body of the request for a connection.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// connectToken makes the tokens that a function sends to ElastiCache instead of
// a password. A token is a request to connect, signed by the function's role
// with Signature Version 4, without its scheme.
//
// A token is valid for 15 minutes, and not longer than the role's credentials.
// So every connection signs its own: that takes microseconds and no call.
//
// https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
type connectToken struct {
	config config.Redis
	env    awsenv.Environment
}

// credentials returns what a new connection signs in with. It implements
// CredentialsProviderContext of [redis.Options].
func (t connectToken) credentials(ctx context.Context) (username, token string, err error) {
	role, err := t.env.Retrieve(ctx)
	if err != nil {
		return "", "", err
	}
	region := t.env.Getenv("AWS_REGION")
	if region == "" {
		return "", "", errors.New("AWS_REGION: is not set; Lambda sets it")
	}
	query := url.Values{"Action": {"connect"}, "User": {t.config.Username}, "X-Amz-Expires": {"900"}}
	if t.config.Serverless {
		query.Set("ResourceType", "ServerlessCache")
	}
	target := "http://" + strings.ToLower(t.config.CacheName) + "/?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", "", fmt.Errorf("signing in to ElastiCache: %w", err)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(
		ctx, role, request, emptyHash, "elasticache", region, t.env.WallTime())
	if err != nil {
		return "", "", fmt.Errorf("signing in to ElastiCache: %w", err)
	}
	return t.config.Username, strings.TrimPrefix(signed, "http://"), nil
}
