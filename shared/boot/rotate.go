package boot

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"latchkey/shared/awsenv"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/seal"

	"latchkey/shared/config"
)

// activationDelay is how long after its making a key becomes active. Every instance that serves looks at the document
// every ten minutes, so all have the key when the first one uses it, and one that could not look for a while has time to.
const activationDelay = time.Hour

// The staging labels of a secret's versions.
const (
	stageCurrent = "AWSCURRENT"
	stagePending = "AWSPENDING"
)

// Rotation adds a key to the document of keys when Secrets Manager asks for it. It implements lambda.Handler.
//
// Secrets Manager calls it in four steps, each of which it may repeat, with a token that names the version that is to be
// made (docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html). Keys are only ever
// added: everything that the former ones made stays good. It writes no key to the log.
type Rotation struct {
	env    awsenv.Environment
	client *secretsmanager.Client
	arn    string
}

// RunRotation is the main of the function that rotates keys. It does as Run does, and needs no Redis: of the configuration
// it reads SESSION_KEYS_SECRET_ARN alone.
func RunRotation() {
	log := NewLogger(os.Stdout)
	LogLibraries(log)
	rotation, err := newRotation(awsenv.New(log))
	if err != nil {
		log.Error("configuration", "problems", []string{err.Error()})
		os.Exit(1)
	}
	lambda.StartWithOptions(rotation, lambda.WithEnableSIGTERM(func() { os.Exit(0) }))
}

func newRotation(env awsenv.Environment) (*Rotation, error) {
	arn, err := config.LoadKeysSecretARN(env.Getenv)
	if err != nil {
		return nil, err
	}
	return &Rotation{env: env, client: env.SecretsManager(arn), arn: arn}, nil
}

// rotationEvent is one step of a rotation, as Secrets Manager asks for it.
type rotationEvent struct {
	Step     string
	SecretID string `json:"SecretId"`
	Token    string `json:"ClientRequestToken"`
}

// Invoke implements lambda.Handler. An error makes the step one that failed: Secrets Manager tries again, and the version
// that is current stays so.
func (r *Rotation) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := lambdahttp.WithReserve(ctx, 0)
	defer cancel()
	var e rotationEvent
	if err := json.Unmarshal(payload, &e); err != nil || e.Token == "" {
		return nil, errors.New("the event is no step of a rotation")
	}
	if e.SecretID != r.arn {
		return nil, errors.New("the event is about another secret than SESSION_KEYS_SECRET_ARN")
	}
	steps := map[string]func(context.Context, string) error{
		"createSecret": r.create, "setSecret": r.set, "testSecret": r.test, "finishSecret": r.finish,
	}
	step, known := steps[e.Step]
	if !known {
		return nil, errors.New("the event is no step that is known")
	}
	if err := r.step(ctx, step, e.Token); err != nil {
		return nil, fmt.Errorf("rotating keys, %s: %w", e.Step, err)
	}
	r.env.Log.InfoContext(ctx, "rotation", "step", e.Step, "version", e.Token)
	return []byte("null"), nil
}

// step runs one step, provided that such a rotation is under way. One that is through is no error, and nothing is done.
func (r *Rotation) step(ctx context.Context, step func(context.Context, string) error, token string) error {
	stages, err := r.stages(ctx)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(stages[token], stageCurrent):
		return nil
	case !slices.Contains(stages[token], stagePending):
		return errors.New("the version of that token is not pending")
	}
	return step(ctx, token)
}

// stages are the labels of each version. It fails where nobody asked for a rotation.
func (r *Rotation) stages(ctx context.Context) (map[string][]string, error) {
	about, err := r.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &r.arn})
	if err != nil {
		return nil, describe(err)
	}
	if !aws.ToBool(about.RotationEnabled) {
		return nil, errors.New("rotation is not enabled for the secret")
	}
	return about.VersionIdsToStages, nil
}

// create writes the next document, unless a run before this one did.
func (r *Rotation) create(ctx context.Context, token string) error {
	_, _, err := r.document(ctx, &token, stagePending)
	if !errors.Is(err, errNoValue) {
		return err // nil: it was written
	}
	current, _, err := r.document(ctx, nil, stageCurrent)
	if err != nil {
		return err
	}
	next := current.Next(newSecret(), r.env.WallTime().Add(activationDelay))
	if _, err := seal.ParseDocument(next.Text()); err != nil {
		return fmt.Errorf("the next document is not usable: %w", err)
	}
	_, err = r.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &r.arn, ClientRequestToken: &token, SecretString: aws.String(next.Text()), VersionStages: []string{stagePending},
	})
	if err != nil {
		return describe(err)
	}
	return nil
}

// set has nothing to do: there is no other service that must be told of a new key.
func (r *Rotation) set(context.Context, string) error { return nil }

// test holds the pending document against the current one. It may also be the current one again, by which Secrets Manager
// tries out a new schedule.
func (r *Rotation) test(ctx context.Context, token string) error {
	_, err := r.tested(ctx, token)
	return err
}

// tested returns the version that is current, provided that the pending one follows it: made of it, with nothing that was
// taken out of it meanwhile and without lacking what was added, and with a key that every instance knows before it is used.
func (r *Rotation) tested(ctx context.Context, token string) (version string, err error) {
	pending, _, err := r.document(ctx, &token, stagePending)
	if err != nil {
		return "", err
	}
	current, version, err := r.document(ctx, nil, stageCurrent)
	if err != nil {
		return "", err
	}
	if !pending.Follows(current) {
		return "", errors.New("the current version has changed since the pending one was made of it; " + startAnew)
	}
	if _, err := ringOf(pending.Text(), "test", false); err != nil {
		return "", err
	}
	news := len(pending.Masters) > len(current.Masters)
	if news && pending.Newest().ActiveFrom.Before(r.env.WallTime().Add(2*refreshAfter)) {
		return "", errors.New("the new key would become active before every instance knows it; " + startAnew)
	}
	return version, nil
}

// startAnew is what an operator does about a pending version that can never become the current one.
const startAnew = "take the stage AWSPENDING off it (update-secret-version-stage --remove-from-version-id) and rotate again"

// finish makes the pending version the current one, in place of the very version that it was held against: AWS refuses
// where that is current no more. Secrets Manager keeps it as AWSPREVIOUS.
func (r *Rotation) finish(ctx context.Context, token string) error {
	version, err := r.tested(ctx, token)
	if err != nil {
		return err
	}
	_, err = r.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &r.arn, VersionStage: aws.String(stageCurrent), MoveToVersionId: &token, RemoveFromVersionId: &version,
	})
	if err != nil {
		return describe(err)
	}
	return nil
}

// errNoValue says that a version has no value yet.
var errNoValue = errors.New("there is no value")

// document reads a version, and tells its id: that of the token, or whichever has the stage. It fails with errNoValue where
// that has no value.
func (r *Rotation) document(ctx context.Context, token *string, stage string) (d *seal.Document, version string, err error) {
	out, err := r.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: &r.arn, VersionId: token, VersionStage: &stage,
	})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, "", fmt.Errorf("%s: %w", stage, errNoValue)
	}
	if err != nil {
		return nil, "", describe(err)
	}
	if d, err = seal.ParseDocument(aws.ToString(out.SecretString)); err != nil {
		return nil, "", fmt.Errorf("%s: %w", stage, err)
	}
	return d, aws.ToString(out.VersionId), nil
}

// newSecret draws the secret of a key: letters and digits, as CloudFormation makes the first one, with more than 256 bits.
func newSecret() string {
	var b strings.Builder
	for b.Len() < 64 {
		b.WriteString(rand.Text()) // 26 characters of 5 bits
	}
	return b.String()[:64]
}
