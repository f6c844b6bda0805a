package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

// webhookTime is how long a receiver may take to answer.
const webhookTime = 10 * time.Second

// Webhook posts each message to a URL, signed as Standard Webhooks lays down.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
	now    func() time.Time
}

// NewWebhook returns a webhook. secret is "whsec_" and 24 to 64 bytes in base64.
func NewWebhook(target, secret string, now func() time.Time) (*Webhook, error) {
	key, err := parseWebhookSecret(secret)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout: webhookTime,
		// A redirect could lead the message to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Webhook{target, key, client, now}, nil
}

// parseWebhookSecret returns the key of a secret. The error does not tell it.
func parseWebhookSecret(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("is not whsec_ and 24 to 64 bytes in base64")
	}
	return key, nil
}

// CheckWebhookSecret returns an error if [NewWebhook] would not accept a secret.
func CheckWebhookSecret(secret string) error {
	_, err := parseWebhookSecret(secret)
	return err
}

// Batch implements [Sink].
func (w *Webhook) Batch() int { return 1 }

// Send implements [Sink].
func (w *Webhook) Send(ctx context.Context, all []Delivery) ([]Result, error) {
	results := make([]Result, len(all))
	var faults error
	for i, d := range all {
		var err error
		results[i], err = w.post(ctx, d)
		faults = errors.Join(faults, err)
	}
	return results, faults
}

func (w *Webhook) post(ctx context.Context, d Delivery) (Result, error) {
	body, err := json.Marshal(envelope(d))
	if err != nil {
		return Refused, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return Failed, err
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Latchkey")
	r.Header.Set("Webhook-Id", d.Message.ID)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+w.sign(d.Message.ID, at, body))
	answer, err := w.client.Do(r)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err // without the URL, which may have a secret
		}
		return Failed, fmt.Errorf("the webhook does not answer: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4096) // so that the connection is used again
	return webhookResult(answer.StatusCode)
}

// sign returns the signature of a message. It covers id and time, so that a copy
// can neither get another id nor be used later.
func (w *Webhook) sign(id, at string, body []byte) string {
	mac := hmac.New(sha256.New, w.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
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
