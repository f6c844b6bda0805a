package awssockets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"latchkey/local/protected-api/sockets"
)

// Closer closes connections of a WebSocket API. It implements [sockets.Closer].
//
// The one request that it sends does not need AWS's client of the API:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
type Closer struct {
	env    Environment
	stage  string // its URL
	client *http.Client
	now    func() time.Time
}

// NewCloser returns a closer of the connections of the stage whose https URL is
// in STAGE_URL.
func NewCloser(env Environment, now func() time.Time) *Closer {
	return &Closer{env, strings.TrimSuffix(env("STAGE_URL"), "/"), newHTTPClient(), now}
}

// Close implements [sockets.Closer].
func (c *Closer) Close(ctx context.Context, id string) error {
	// The equals sign of an id is escaped too, as AWS's clients do it. A
	// signature covers the path as it was sent.
	target := c.stage + "/@connections/" + url.QueryEscape(id)
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, target, nil)
	if err != nil {
		return err
	}
	credentials, err := c.env.Retrieve(ctx)
	if err != nil {
		return err
	}
	empty := sha256.Sum256(nil)
	err = v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(empty[:]), "execute-api",
		c.env("AWS_REGION"), c.now())
	if err != nil {
		return err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err // without the connection's id, once more
		}
		return fmt.Errorf("API Gateway does not answer: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4096) // so that the connection is used again
	switch {
	case answer.StatusCode == http.StatusGone:
		return sockets.ErrGone
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return fmt.Errorf("API Gateway answers with status %d", answer.StatusCode)
	}
	return nil
}
