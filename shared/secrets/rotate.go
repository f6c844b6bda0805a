package secrets

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/seal"
)

// activationDelay is the time from making a key until it becomes active. Every
// instance that serves fetches the document every ten minutes. So all have the
// key when the first one uses it, also those that could not fetch it for a
// while.
const activationDelay = time.Hour

// The staging labels of a secret's versions.
const (
	stageCurrent = "AWSCURRENT"
	stagePending = "AWSPENDING"
)

// Rotation adds a key to the document of keys when Secrets Manager asks for it.
// It implements lambda.Handler. It only adds keys: what the former ones sealed
// and signed stays valid. It writes no key to the log.
//
// Secrets Manager calls it in four steps, with a token that names the version
// to be made, and may repeat each of them.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
type Rotation struct {
	env    awsenv.Environment
	client *secretsmanager.Client
	arn    string
}

// NewRotation returns the function that rotates the secret that
// SESSION_KEYS_SECRET_ARN names. It returns an error, with the variable's name,
// if that is not set or not an ARN of a secret.
func NewRotation(env awsenv.Environment) (*Rotation, error) {
	arn, err := config.LoadKeysSecretARN(env.Getenv)
	if err != nil {
		return nil, err
	}
	return &Rotation{env: env, client: env.SecretsManager(arn), arn: arn}, nil
}

// rotationEvent is the event of one step of a rotation.
type rotationEvent struct {
	Step     string
	SecretID string `json:"SecretId"`
	Token    string `json:"ClientRequestToken"`
}

// Invoke implements lambda.Handler. After an error Secrets Manager tries again,
// and the current version stays current.
func (r *Rotation) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := lambdahttp.WithReserve(ctx, 0)
	defer cancel()
	var e rotationEvent
	if err := json.Unmarshal(payload, &e); err != nil || e.Token == "" {
		return nil, errors.New("the event is not a step of a rotation")
	}
	if e.SecretID != r.arn {
		return nil, errors.New(
			"the event is about another secret than SESSION_KEYS_SECRET_ARN names: set the variable, or the rotation, to the same secret")
	}
	steps := map[string]func(context.Context, string) error{
		"createSecret": r.create, "testSecret": r.test, "finishSecret": r.finishSecret,
		// There is no other service that needs the new key.
		"setSecret": func(context.Context, string) error { return nil },
	}
	step, ok := steps[e.Step]
	if !ok {
		return nil, errors.New("the step of the event is unknown")
	}
	if err := r.step(ctx, step, e.Token); err != nil {
		return nil, fmt.Errorf("rotating keys, %s: %w", e.Step, err)
	}
	r.env.Log.InfoContext(ctx, "rotation", "step", e.Step, "version", e.Token)
	return []byte("null"), nil
}

// step runs one step of a rotation that is under way. If the rotation is
// complete it does nothing and returns no error.
func (r *Rotation) step(
	ctx context.Context, step func(context.Context, string) error, token string,
) error {
	stages, err := r.stages(ctx)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(stages[token], stageCurrent):
		return nil
	case !slices.Contains(stages[token], stagePending):
		return errors.New("the version of the event's token is not pending")
	}
	return step(ctx, token)
}

// stages returns the staging labels of each version. It returns an error if
// rotation is not enabled.
func (r *Rotation) stages(ctx context.Context) (map[string][]string, error) {
	in := &secretsmanager.DescribeSecretInput{SecretId: &r.arn}
	about, err := r.client.DescribeSecret(ctx, in)
	if err != nil {
		return nil, describe(err)
	}
	if !aws.ToBool(about.RotationEnabled) {
		return nil, errors.New("rotation is not enabled for the secret")
	}
	return about.VersionIdsToStages, nil
}

// create writes the next document, unless an earlier call has.
func (r *Rotation) create(ctx context.Context, token string) error {
	_, _, err := r.document(ctx, &token, stagePending)
	if !errors.Is(err, errNoValue) {
		return err // nil if it was written already
	}
	current, _, err := r.document(ctx, nil, stageCurrent)
	if err != nil {
		return err
	}
	next := current.Next(newSecret(), r.env.WallTime().Add(activationDelay))
	if _, err := seal.ParseDocument(next.Text()); err != nil {
		return fmt.Errorf("the next document is not valid: %w", err)
	}
	_, err = r.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &r.arn, ClientRequestToken: &token,
		SecretString: aws.String(next.Text()), VersionStages: []string{stagePending},
	})
	return describe(err)
}

// test compares the pending document with the current one. They may be the
// same: Secrets Manager does that to try out a new schedule.
func (r *Rotation) test(ctx context.Context, token string) error {
	_, err := r.tested(ctx, token)
	return err
}

// tested returns the id of the current version if the pending one may replace
// it: it has all that the current one has and nothing that was removed from
// that meanwhile, and every instance will know its new key before it is used.
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
		return "", errors.New("the current version has changed since the pending one was made; " +
			startAnew)
	}
	if _, err := ringOf(pending.Text(), "test", false); err != nil {
		return "", err
	}
	news := len(pending.Masters) > len(current.Masters)
	if news && pending.Newest().ActiveFrom.Before(r.env.WallTime().Add(2*refreshAfter)) {
		return "", errors.New("the new key would become active before every instance has it; " +
			startAnew)
	}
	return version, nil
}

// startAnew says what to do about a pending version that can never become
// current.
const startAnew = "remove the stage AWSPENDING from the pending version" +
	" (update-secret-version-stage --remove-from-version-id) and rotate again"

// finishSecret makes the pending version the current one. It replaces the very
// version that it was compared with: AWS refuses if another one is current by
// now. Secrets Manager keeps the former one as AWSPREVIOUS.
func (r *Rotation) finishSecret(ctx context.Context, token string) error {
	version, err := r.tested(ctx, token)
	if err != nil {
		return err
	}
	_, err = r.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &r.arn, VersionStage: aws.String(stageCurrent),
		MoveToVersionId: &token, RemoveFromVersionId: &version,
	})
	return describe(err)
}

// errNoValue is returned for a version without a value.
var errNoValue = errors.New("the version has no value")

// document reads the version of a token, or the one with that stage if the
// token is nil, and returns its id too. It returns errNoValue if the version
// has no value.
func (r *Rotation) document(
	ctx context.Context, token *string, stage string,
) (d *seal.Document, version string, err error) {
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

// newSecret draws the secret of a key, with more than 256 bits. It has letters
// and digits, as the first one, which CloudFormation makes.
func newSecret() string {
	return (rand.Text() + rand.Text() + rand.Text())[:64] // of 26 characters of 5 bits each
}
