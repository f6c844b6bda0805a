package secrets

import (
	"context"
	"fmt"
	"strings"

	"latchkey/shared/awsenv"
	"latchkey/shared/events"
)

// FetchWebhookSecret fetches the secret with which webhooks are signed. Its
// error names the variable and does not hold the secret.
func FetchWebhookSecret(ctx context.Context, arn string, env awsenv.Environment) (string, error) {
	const variable = "EVENT_WEBHOOK_SECRET_ARN"
	text, err := fetcher(env, arn)(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: reading the secret: %w", variable, err)
	}
	text = strings.TrimSpace(text)
	if err := events.CheckWebhookSecret(text); err != nil {
		return "", fmt.Errorf("%s: the secret %w", variable, err)
	}
	return text, nil
}
