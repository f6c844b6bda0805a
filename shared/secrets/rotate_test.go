package secrets_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/shared/awsenv"
	"latchkey/shared/secrets"
)

func newVault(t *testing.T) *awstest.Vault {
	t.Helper()
	v := awstest.NewVault(t)
	rotation, err := secrets.NewRotation(v.Environment())
	v.Must(err)
	v.Rotation = rotation
	return v
}

func TestRotation_stages(t *testing.T) {
	v := newVault(t)
	token := v.Ask()
	v.Must(v.Step("createSecret", token))
	if got := v.Labels(token); !slices.Equal(got, []string{"AWSPENDING"}) || v.Text(nil) != awstest.OneKey {
		t.Errorf("created: %q", got)
	}
	v.Must(v.Step("testSecret", token))
	v.Must(v.Step("finishSecret", token))
	if got := v.Labels(token); !slices.Contains(got, "AWSCURRENT") {
		t.Errorf("finished: %q", got)
	}
	if v.Text(nil) == awstest.OneKey {
		t.Error("the former document is current")
	}
}

func TestRotation_refuses(t *testing.T) {
	v := newVault(t)
	refused := func(what string, err error, says string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), awstest.FirstSecret[:8]) {
			t.Errorf("%s: %v, want %q", what, err, says)
		}
	}
	invoke := func(payload string) error {
		result, err := v.Rotation.Invoke(context.Background(), []byte(payload))
		if result != nil && err != nil {
			t.Errorf("%s: an answer and an error", payload)
		}
		return err
	}
	refused("rotation off", v.Step("createSecret", "token"), "not enabled")
	token := v.Ask()
	refused("no event", invoke(`{`), "not a step")
	refused("empty event", invoke(`{}`), "not a step")
	refused("an HTTP event", invoke(string(lambdatest.NewEvent("GET", "/health").JSON(t))), "not a step")
	refused("another secret", invoke(string(awstest.RotationStep("createSecret", v.ARN+"x", token))), "another secret")
	refused("unknown step", v.Step("deleteSecret", token), "step of the event is unknown")
	refused("unknown token", v.Step("createSecret", "token"), "not pending")
	refused("test before create", v.Step("testSecret", token), "no value")
	v.Must(v.Step("createSecret", token))
	stale := token

	// Somebody writes over the pending version: what is not all of the current
	// one, or not usable, is not let through.
	for says, text := range map[string]string{
		"has changed since":     strings.Replace(awstest.OneKey, awstest.FirstSecret, awstest.SecondSecret, 1),
		"be a JSON object":      awstest.SecondSecret,
		"fewer than 8":          strings.TrimSuffix(awstest.OneKey, "}") + `,"k2":"` + strings.Repeat("ab", 32) + `"}`,
		"lookup must name a":    strings.Replace(awstest.TwoKeys, `"lookup":"k1"`, `"lookup":"k3"`, 1),
		"an unknown name":       strings.Replace(awstest.OneKey, `"lookup"`, `"comment":"","lookup"`, 1),
		"least 32 are needed":   strings.TrimSuffix(awstest.OneKey, "}") + `,"k2":"short"}`,
		"equals that of":        strings.TrimSuffix(awstest.OneKey, "}") + `,"k2":"` + awstest.FirstSecret + `"}`,
		"has changed since the": strings.Replace(awstest.TwoKeys, `"lookup":"k1"`, `"lookup":"k2"`, 1),
	} {
		token := rand.Text() + rand.Text()
		_, err := v.Client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
			SecretId: &v.ARN, ClientRequestToken: &token, SecretString: &text, VersionStages: []string{"AWSPENDING"},
		})
		v.Must(err)
		refused("testing "+says, v.Step("testSecret", token), says)
	}
	refused("a token that is pending no more", v.Step("finishSecret", stale), "not pending")
	if v.Text(nil) != awstest.OneKey {
		t.Error("a refused rotation changed the current document")
	}
	// A schedule is tried out with the current document.
	again := rand.Text() + rand.Text()
	_, err := v.Client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
		SecretId: &v.ARN, ClientRequestToken: &again, SecretString: aws.String(awstest.OneKey), VersionStages: []string{"AWSPENDING"},
	})
	v.Must(err)
	v.Must(v.Step("testSecret", again))

	for value, says := range map[string]string{"": "is needed", awstest.FirstSecret: "is not the ARN"} {
		_, err := secrets.NewRotation(awsenv.Environment{Getenv: func(string) string { return value }, Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
		refused("SESSION_KEYS_SECRET_ARN="+value, err, says)
	}
}

// What an operator takes out of the current document, or adds to it, while a
// rotation is under way is neither brought back nor lost: the rotation is
// refused, also in its last step.
func TestRotation_editedMeanwhile(t *testing.T) {
	for name, edit := range map[string]func(two string) string{
		"a key was taken out": func(string) string { return awstest.OneKey },
		"a key was added":     func(two string) string { return strings.TrimSuffix(two, "}") + `,"k9":"` + newSecretText() + `"}` },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			v.Rotate()
			token := v.Ask()
			v.Must(v.Step("createSecret", token))
			v.Must(v.Step("testSecret", token))
			edited, before := edit(v.Text(nil)), v.Current()
			put, err := v.Client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
				SecretId: &v.ARN, SecretString: &edited, VersionStages: []string{"EDITED"},
			})
			v.Must(err)
			v.Move("AWSCURRENT", &before, put.VersionId)
			v.Move("AWSPENDING", nil, &token) // moto takes it off at any change
			for _, step := range []string{"testSecret", "finishSecret"} {
				if err := v.Step(step, token); err == nil || !strings.Contains(err.Error(), "has changed since") {
					t.Errorf("%s: %v", step, err)
				}
			}
			if v.Text(nil) != edited {
				t.Error("the rotation wrote over what was edited")
			}
		})
	}
}

// A rotation that comes to its end when its key would be used at once is
// refused: nobody knows that key yet.
func TestRotation_tooLate(t *testing.T) {
	v := newVault(t)
	token := v.Ask()
	v.Must(v.Step("createSecret", token))
	v.Must(v.Step("testSecret", token))
	v.Clock.Add(45 * time.Minute)
	for _, step := range []string{"testSecret", "finishSecret"} {
		if err := v.Step(step, token); err == nil || !strings.Contains(err.Error(), "before every instance has it") {
			t.Errorf("%s: %v", step, err)
		}
	}
	if v.Text(nil) != awstest.OneKey {
		t.Error("the late document is current")
	}
}

func newSecretText() string { return (rand.Text() + rand.Text() + rand.Text())[:64] }
