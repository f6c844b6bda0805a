package awsenv_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"latchkey/shared/awsenv"
)

// Credentials are read anew at every call: Lambda may replace them.
func TestEnvironment_Retrieve(t *testing.T) {
	vars := map[string]string{}
	env := awsenv.Environment{Getenv: func(name string) string { return vars[name] }}
	if c, err := env.Retrieve(context.Background()); err == nil {
		t.Errorf("without credentials it returns %v", c.Source)
	}
	vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"], vars["AWS_SESSION_TOKEN"] = "id", "secret", "token"
	for _, id := range []string{"id", "another"} {
		vars["AWS_ACCESS_KEY_ID"] = id
		c, err := env.Retrieve(context.Background())
		if err != nil || c.AccessKeyID != id || c.SecretAccessKey != "secret" || c.SessionToken != "token" || c.CanExpire {
			t.Errorf("got the key id %q, %v", c.AccessKeyID, err)
		}
	}
}

// A span is measured by the time of day, which goes on while an instance is frozen.
func TestEnvironment_WallTime(t *testing.T) {
	now := time.Now()
	env := awsenv.New(slog.Default())
	env.Now = func() time.Time { return now }
	if got := env.WallTime(); got == now || !got.Equal(now) {
		t.Errorf("got %v from %v, want it without the monotonic reading", got, now)
	}
}
