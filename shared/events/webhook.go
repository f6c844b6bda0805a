package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Envelope is the body of a webhook: what EventBridge has around a message.
type Envelope struct {
	ID         string  `json:"id"`
	Source     string  `json:"source"`
	DetailType Type    `json:"detail-type"`
	Time       string  `json:"time"`
	Detail     Message `json:"detail"`
}

// envelope returns the body of a delivery.
func envelope(d Delivery) Envelope {
	return Envelope{d.Message.ID, Source, d.Type, d.Message.Time, d.Message}
}

// Bounds of a webhook.
const (
	// webhookTime is how long a receiver may take to answer, connecting
	// included.
	webhookTime = 10 * time.Second
	// webhookTogether is how many messages are posted at the same time.
	webhookTogether = 10
	// webhookSecrets is how many secrets there can be at the same time: the
	// next one and the one before.
	webhookSecrets = 2
)

// Webhook posts each message to a URL, signed as Standard Webhooks lays down.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
type Webhook struct {
	url    string
	keys   [][]byte
	client *http.Client
	now    func() time.Time
}

// NewWebhook returns a webhook. secrets are one secret, or two with a comma
// between them while they rotate: each message is then signed with both. A
// secret is "whsec_" and 24 to 64 bytes in base64.
func NewWebhook(target, secrets string, now func() time.Time) (*Webhook, error) {
	keys, err := parseWebhookSecrets(secrets)
	if err != nil {
		return nil, err
	}
	return &Webhook{target, keys, newWebhookClient(), now}, nil
}

// newWebhookClient returns a client of its own: a main changes the default one,
// for the client of Lambda's Runtime API. It uses no proxy, so that a variable
// of the environment does not decide where messages pass.
func newWebhookClient() *http.Client {
	return &http.Client{
		Timeout: webhookTime,
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: webhookTime}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    webhookTogether,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 16 << 10,
		},
		// A redirect could lead the message to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// parseWebhookSecrets returns the keys of secrets. The error does not tell
// them.
func parseWebhookSecrets(secrets string) (keys [][]byte, err error) {
	all := strings.Split(secrets, ",")
	if len(all) > webhookSecrets {
		return nil, fmt.Errorf("has %d secrets, and at most %d are allowed", len(all), webhookSecrets)
	}
	for i, secret := range all {
		text, ok := strings.CutPrefix(strings.TrimSpace(secret), "whsec_")
		key, err := base64.StdEncoding.Strict().DecodeString(text)
		switch {
		case !ok || err != nil || len(key) < 24 || len(key) > 64 || strings.ContainsAny(text, "\r\n"):
			return nil, errors.New("is not whsec_ and 24 to 64 bytes in base64")
		case i > 0 && bytes.Equal(key, keys[0]):
			return nil, errors.New("has the same secret twice")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// CheckWebhookSecret returns an error if [NewWebhook] would not accept secrets.
func CheckWebhookSecret(secrets string) error {
	_, err := parseWebhookSecrets(secrets)
	return err
}

// Batch implements [Sink].
func (w *Webhook) Batch() int { return webhookTogether }

// Send implements [Sink]. It posts all messages at the same time.
func (w *Webhook) Send(ctx context.Context, all []Delivery) ([]Result, error) {
	results, faults := make([]Result, len(all)), make([]error, len(all))
	var posts sync.WaitGroup
	for i, d := range all {
		posts.Go(func() { results[i], faults[i] = w.post(ctx, d) })
	}
	posts.Wait()
	return results, errors.Join(faults...)
}

func (w *Webhook) post(ctx context.Context, d Delivery) (Result, error) {
	body, err := json.Marshal(envelope(d))
	if err != nil {
		return Refused, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return Failed, errors.New("the URL of the webhook is not valid") // err would repeat it
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Latchkey")
	r.Header.Set("Webhook-Id", d.Message.ID)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", w.sign(d.Message.ID, at, body))
	answer, err := w.client.Do(r)
	if err != nil {
		return Failed, describePost(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4096) // so that the connection is used again
	return webhookResult(answer.StatusCode)
}

// describePost returns why there is no answer, without the URL, which may have
// a secret, and without anything that the receiver wrote, which may repeat it.
func describePost(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		if about.Timeout() {
			return errors.New("the webhook does not answer in time")
		}
		err = about.Err
	}
	var connection *net.OpError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &connection) || errors.As(err, &certificate) ||
		errors.Is(err, context.Canceled) {
		return fmt.Errorf("the webhook does not answer: %w", err)
	}
	return errors.New("the webhook's answer is not HTTP with at most 16 KiB of headers, or was cut off")
}

// sign returns the signatures of a message, one for each key. They cover id and
// time, so that a copy can neither get another id nor be used later.
func (w *Webhook) sign(id, at string, body []byte) string {
	signatures := make([]string, len(w.keys))
	for i, key := range w.keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// webhookResult returns what a status says about a message.
func webhookResult(status int) (Result, error) {
	switch {
	case status >= 200 && status < 300:
		return Accepted, nil
	case status == http.StatusBadRequest, status == http.StatusGone,
		status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return Refused, fmt.Errorf("the webhook refuses an event with status %d", status)
	}
	return Failed, fmt.Errorf("the webhook answers with status %d", status)
}
