package awstest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"latchkey/local/test/lambdatest"
	"latchkey/shared/awsenv"
)

// Vault is a secret of keys in moto, with the document [OneKey], and the
// function that rotates it.
type Vault struct {
	Client *secretsmanager.Client
	ARN    string
	Getenv func(string) string
	Clock  *Clock
	Log    *lambdatest.Output
	// Rotation is the function. The test sets it.
	Rotation lambda.Handler

	t *testing.T
}

// NewVault creates a secret. The variable SESSION_KEYS_SECRET_ARN has its ARN.
func NewVault(t *testing.T) *Vault {
	t.Helper()
	getenv := Role(Moto(t))
	v := &Vault{t: t, Clock: NewClock(Start), Log: new(lambdatest.Output)}
	v.Client = secretsmanager.New(secretsmanager.Options{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER")),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	made, err := v.Client.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{
		Name: aws.String("keys-" + rand.Text()), SecretString: aws.String(OneKey),
	})
	v.Must(err)
	v.ARN = *made.ARN
	v.Getenv = func(name string) string {
		if name == "SESSION_KEYS_SECRET_ARN" {
			return v.ARN
		}
		return getenv(name)
	}
	return v
}

// Must ends the test if there is an error.
func (v *Vault) Must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// Environment returns the environment of the function.
func (v *Vault) Environment() awsenv.Environment {
	return awsenv.Environment{
		Getenv: v.Getenv, Now: v.Clock.Now, Log: slog.New(slog.NewJSONHandler(v.Log, nil)),
	}
}

// Ask does what Secrets Manager does first when a rotation is due: it makes a
// pending version without a value, and returns its token. If there is no
// rotation function, moto makes that version the current one, so Ask moves that
// label back. Moto also refuses to rotate a secret whose current version has
// the pending label too. It has after a rotation, so Ask removes that label
// first.
func (v *Vault) Ask() string {
	v.t.Helper()
	token, before := rand.Text()+rand.Text(), v.Current()
	if slices.Contains(v.Labels(before), "AWSPENDING") {
		v.Move("AWSPENDING", &before, nil)
	}
	_, err := v.Client.RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &v.ARN, ClientRequestToken: &token,
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	v.Must(err)
	v.Move("AWSCURRENT", &token, &before)
	v.Move("AWSPENDING", nil, &token)
	return token
}

// Current returns the id of the current version.
func (v *Vault) Current() string {
	v.t.Helper()
	in := &secretsmanager.DescribeSecretInput{SecretId: &v.ARN}
	about, err := v.Client.DescribeSecret(context.Background(), in)
	v.Must(err)
	for version, labels := range about.VersionIdsToStages {
		if slices.Contains(labels, "AWSCURRENT") {
			return version
		}
	}
	v.t.Fatal("no version is current")
	return ""
}

// RotationStep returns the event of a step.
func RotationStep(step, secret, token string) []byte {
	payload, err := json.Marshal(map[string]string{
		"Step": step, "SecretId": secret, "ClientRequestToken": token,
	})
	if err != nil {
		panic(err)
	}
	return payload
}

// Step runs a step of the function.
func (v *Vault) Step(step, token string) error {
	_, err := v.Rotation.Invoke(context.Background(), RotationStep(step, v.ARN, token))
	return err
}

// Rotate runs all steps, each twice, because Secrets Manager may repeat a step.
func (v *Vault) Rotate() {
	v.t.Helper()
	token := v.Ask()
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		v.Must(v.Step(step, token))
		before := v.Text(&token)
		v.Must(v.Step(step, token))
		if v.Text(&token) != before {
			v.t.Errorf("%s, repeated, wrote another document", step)
		}
	}
}

// Text returns the value of a version, or of the current one if it is nil.
func (v *Vault) Text(version *string) string {
	v.t.Helper()
	in := &secretsmanager.GetSecretValueInput{SecretId: &v.ARN, VersionId: version}
	if version == nil {
		in.VersionStage = aws.String("AWSCURRENT")
	}
	out, err := v.Client.GetSecretValue(context.Background(), in)
	v.Must(err)
	return *out.SecretString
}

// Put adds a version, as an operator would by hand.
func (v *Vault) Put(text string, stages ...string) {
	v.t.Helper()
	_, err := v.Client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
		SecretId: &v.ARN, SecretString: &text, VersionStages: stages,
	})
	v.Must(err)
}

// Labels returns the stages of a version.
func (v *Vault) Labels(version string) []string {
	v.t.Helper()
	in := &secretsmanager.DescribeSecretInput{SecretId: &v.ARN}
	about, err := v.Client.DescribeSecret(context.Background(), in)
	v.Must(err)
	return about.VersionIdsToStages[version]
}

// Move moves a stage from one version to another. If one of them is nil, it
// only adds or removes the stage.
func (v *Vault) Move(stage string, from, to *string) {
	v.t.Helper()
	in := &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &v.ARN, VersionStage: &stage, RemoveFromVersionId: from, MoveToVersionId: to,
	}
	_, err := v.Client.UpdateSecretVersionStage(context.Background(), in)
	v.Must(err)
}
