package boot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"latchkey/shared/awsenv"
)

// emptyHash is the SHA-256 of nothing, which is what the request for a connection has for a body.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// connectToken is what a function shows to ElastiCache in place of a password: a request to connect, signed by its role
// with Signature Version 4, without the scheme (docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html).
//
// It is good for 15 minutes, and no longer than the role's credentials. So every connection signs one of its own; that is
// a matter of microseconds and asks nobody.
type connectToken struct {
	env        awsenv.Environment
	user       string
	cache      string
	serverless bool
}

// credentials is what a new connection shows: redis.Options.CredentialsProviderContext.
func (t connectToken) credentials(ctx context.Context) (username, token string, err error) {
	role, err := t.env.Retrieve(ctx)
	if err != nil {
		return "", "", err
	}
	region := t.env.Getenv("AWS_REGION")
	if region == "" {
		return "", "", errors.New("AWS_REGION: is not set; a Lambda has it")
	}
	query := url.Values{"Action": {"connect"}, "User": {t.user}, "X-Amz-Expires": {"900"}}
	if t.serverless {
		query.Set("ResourceType", "ServerlessCache")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+strings.ToLower(t.cache)+"/?"+query.Encode(), nil)
	if err != nil {
		return "", "", fmt.Errorf("signing in to ElastiCache: %w", err)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, role, request, emptyHash, "elasticache", region, t.env.WallTime())
	if err != nil {
		return "", "", fmt.Errorf("signing in to ElastiCache: %w", err)
	}
	return t.user, strings.TrimPrefix(signed, "http://"), nil
}
