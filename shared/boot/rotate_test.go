package boot_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/boot"
	"latchkey/shared/seal"
)

// vault is a secret in moto, and the function that rotates it.
type vault struct {
	t        *testing.T
	client   *secretsmanager.Client
	arn      string
	getenv   func(string) string
	clock    *clock
	log      *lambdatest.Output
	rotation *boot.Rotation
}

func newVault(t *testing.T) *vault {
	t.Helper()
	getenv := role(moto(t))
	v := &vault{t: t, clock: newClock(start), log: new(lambdatest.Output), client: secretsmanager.New(secretsmanager.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER")),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})}
	made, err := v.client.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{
		Name: aws.String("keys-" + rand.Text()), SecretString: aws.String(oneKey),
	})
	v.must(err)
	v.arn = *made.ARN
	v.getenv = func(name string) string {
		if name == "SESSION_KEYS_SECRET_ARN" {
			return v.arn
		}
		return getenv(name)
	}
	v.rotation, err = boot.NewRotationIn(v.around())
	v.must(err)
	return v
}

func (v *vault) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) around() boot.Around {
	return boot.Around{Getenv: v.getenv, Now: v.clock.now, Log: slog.New(slog.NewJSONHandler(v.log, nil))}
}

// ask is what Secrets Manager does first when a rotation is due: it makes a pending version without a value, and returns
// its token. Without a function moto makes that version the current one, so that label goes back to where it was. Nor does
// moto let anybody rotate a secret whose current version is labelled pending too, which it is after a rotation.
func (v *vault) ask() string {
	v.t.Helper()
	ctx, token, before := context.Background(), rand.Text()+rand.Text(), v.current()
	if slices.Contains(v.labels(before), "AWSPENDING") {
		_, err := v.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &v.arn, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &before,
		})
		v.must(err)
	}
	_, err := v.client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &v.arn, ClientRequestToken: &token, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	v.must(err)
	_, err = v.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &v.arn, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &token, MoveToVersionId: &before,
	})
	v.must(err)
	_, err = v.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &v.arn, VersionStage: aws.String("AWSPENDING"), MoveToVersionId: &token,
	})
	v.must(err)
	return token
}

// current is the version that is current.
func (v *vault) current() string {
	v.t.Helper()
	about, err := v.client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &v.arn})
	v.must(err)
	for version, labels := range about.VersionIdsToStages {
		if slices.Contains(labels, "AWSCURRENT") {
			return version
		}
	}
	v.t.Fatal("no version is current")
	return ""
}

func rotationStep(step, secret, token string) []byte {
	payload, err := json.Marshal(map[string]string{"Step": step, "SecretId": secret, "ClientRequestToken": token})
	if err != nil {
		panic(err)
	}
	return payload
}

func (v *vault) step(step, token string) error {
	_, err := v.rotation.Invoke(context.Background(), rotationStep(step, v.arn, token))
	return err
}

// rotate runs all steps, each twice: Secrets Manager may ask for one again.
func (v *vault) rotate() {
	v.t.Helper()
	token := v.ask()
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		v.must(v.step(step, token))
		before := v.text(&token)
		v.must(v.step(step, token))
		if v.text(&token) != before {
			v.t.Errorf("%s, repeated, wrote another document", step)
		}
	}
}

// text is the value of a version, or of the current one.
func (v *vault) text(version *string) string {
	v.t.Helper()
	in := &secretsmanager.GetSecretValueInput{SecretId: &v.arn, VersionId: version}
	if version == nil {
		in.VersionStage = aws.String("AWSCURRENT")
	}
	out, err := v.client.GetSecretValue(context.Background(), in)
	v.must(err)
	return *out.SecretString
}

// put is an operator's edit by hand.
func (v *vault) put(text string, stages ...string) {
	v.t.Helper()
	_, err := v.client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
		SecretId: &v.arn, SecretString: &text, VersionStages: stages,
	})
	v.must(err)
}

func (v *vault) labels(version string) []string {
	v.t.Helper()
	about, err := v.client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &v.arn})
	v.must(err)
	return about.VersionIdsToStages[version]
}

// instance is one running function's service, of any number over one Redis.
type instance struct {
	*boot.Service
	t *testing.T
}

func (v *vault) instance(r redistest.Redis) instance {
	v.t.Helper()
	cfg := mustLoad(v.t, deployed("SESSION_KEYS_SECRET_ARN", v.arn, "SESSION_SECRET", "", "SESSION_ENCRYPTION_KEY", "",
		"SESSION_TIMEOUT_MINUTES", "720", "ACCESS_TOKEN_MINUTES", "720", "REDIS_KEY_PREFIX", r.Prefix))
	cfg.Redis.Addr = r.Addr
	service, err := boot.NewServiceIn(v.around(), cfg)
	v.must(err)
	v.t.Cleanup(func() { _ = service.Close() })
	return instance{service, v.t}
}

// invoke calls a route as one invocation does; without what an invocation begins with where met is set.
func (i instance) invoke(route func(*api.API) http.Handler, e event, met bool) response {
	i.t.Helper()
	f := i.Keep(boot.NewLambda(route(i.API), host))
	if met {
		f = boot.NewLambda(route(i.API), host)
	}
	payload, err := f.Invoke(context.Background(), e.json(i.t))
	if err != nil {
		i.t.Fatal(err)
	}
	return decodeResponse(i.t, payload)
}

func (i instance) login() tokens {
	i.t.Helper()
	e := newEvent("POST", "/auth/login")
	text, err := json.Marshal(signed(i.t, func(query string) response {
		e := newEvent("GET", "/auth/nonce")
		e.RawQueryString = "transport=bearer" + query
		return i.invoke((*api.API).Nonce, e, false)
	}))
	if err != nil {
		i.t.Fatal(err)
	}
	e.Body, e.Headers["content-type"] = string(text), "application/json"
	return tokensOf(i.t, i.invoke((*api.API).Login, e, false))
}

func (i instance) profile(access string, met bool) response {
	i.t.Helper()
	e := newEvent("GET", "/api/profile")
	e.Headers["authorization"] = "Bearer " + access
	return i.invoke((*api.API).Profile, e, met)
}

func (i instance) refresh(refresh string) tokens {
	i.t.Helper()
	e := newEvent("POST", "/auth/refresh")
	e.Body, e.Headers["content-type"] = `{"refreshToken":"`+refresh+`"}`, "application/json"
	return tokensOf(i.t, i.invoke((*api.API).Refresh, e, false))
}

// keyOf is the id of the key that a token was made with.
func keyOf(t *testing.T, token string) seal.KeyID {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token[4:])
	if err != nil {
		t.Fatal(err)
	}
	return seal.KeyID(raw[1:])
}

// The whole life of a key, from its making to its removal, with instances that learn of it at different moments.
func TestRotation_story(t *testing.T) {
	v, r := newVault(t), redistest.Embedded(t)
	early := v.instance(r)
	former := early.login()
	k1, _ := keyIDs(t, oneKey)
	if keyOf(t, former.AccessToken) != k1 {
		t.Fatal("the first session is not under the first key")
	}

	v.rotate()
	document, err := seal.ParseDocument(v.text(nil))
	if err != nil || len(document.Masters) != 2 || document.Lookup != "k1" || document.Masters[0].Secret != firstSecret ||
		!document.Masters[1].ActiveFrom.Equal(start.Add(time.Hour)) || len(document.Masters[1].Secret) != 64 {
		t.Fatalf("after the rotation: %v, %v", document, err)
	}
	_, k2 := keyIDs(t, v.text(nil))

	// Known and not yet active: nobody uses it.
	late := v.instance(r)
	if !late.Has(k2) || early.Has(k2) {
		t.Fatal("who knows the new key is not who should")
	}
	if got := keyOf(t, late.login().AccessToken); got != k1 {
		t.Errorf("a session before the key is active is under %x", got)
	}
	v.clock.add(time.Hour)
	next := late.login()
	if got := keyOf(t, next.AccessToken); got != k2 {
		t.Errorf("a session once the key is active is under %x", got)
	}

	// One that has not heard of it meets it.
	wantStatus(t, early.profile(next.AccessToken, true), http.StatusOK)
	if !early.Has(k2) {
		t.Error("a key was met and not taken up")
	}
	// Sessions from before live on, under their own key to their end.
	for _, i := range []instance{early, late} {
		wantStatus(t, i.profile(former.AccessToken, false), http.StatusOK)
	}
	former = late.refresh(former.RefreshToken)
	if keyOf(t, former.AccessToken) != k1 || keyOf(t, former.RefreshToken) != k1 {
		t.Error("a refresh moved a session to another key")
	}
	wantStatus(t, early.profile(former.AccessToken, false), http.StatusOK)

	// A second rotation on top of the first.
	v.rotate()
	if document, err := seal.ParseDocument(v.text(nil)); err != nil || len(document.Masters) != 3 {
		t.Errorf("after the second rotation: %v, %v", document, err)
	}

	// Taken away by hand: what it opened is shut, at every instance once it has looked.
	v.put(oneKey)
	v.clock.add(10 * time.Minute)
	for _, i := range []instance{early, late} {
		wantProblem(t, i.profile(next.AccessToken, false), http.StatusUnauthorized, "invalid_token")
		wantStatus(t, i.profile(former.AccessToken, false), http.StatusOK)
	}
	// The lookup key cannot be.
	v.put(`{"lookup":"k1","k2":"` + secondSecret + `"}`)
	v.clock.add(10 * time.Minute)
	wantStatus(t, early.profile(former.AccessToken, false), http.StatusOK)

	if _, err := v.log.Entries(); err != nil || !strings.Contains(v.log.String(), "lookup names no key") {
		t.Errorf("%v, logged %s", err, v.log)
	}
	for _, m := range document.Masters {
		if strings.Contains(v.log.String(), m.Secret[:8]) {
			t.Errorf("the log holds the secret of %s", m.Name)
		}
	}
}

func TestRotation_stages(t *testing.T) {
	v := newVault(t)
	token := v.ask()
	v.must(v.step("createSecret", token))
	if got := v.labels(token); !slices.Equal(got, []string{"AWSPENDING"}) || v.text(nil) != oneKey {
		t.Errorf("created: %q", got)
	}
	v.must(v.step("testSecret", token))
	v.must(v.step("finishSecret", token))
	if got := v.labels(token); !slices.Contains(got, "AWSCURRENT") {
		t.Errorf("finished: %q", got)
	}
	if v.text(nil) == oneKey {
		t.Error("the former document is current")
	}
}

func TestRotation_refuses(t *testing.T) {
	v := newVault(t)
	refused := func(what string, err error, says string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), firstSecret[:8]) {
			t.Errorf("%s: %v, want %q", what, err, says)
		}
	}
	invoke := func(payload string) error {
		answer, err := v.rotation.Invoke(context.Background(), []byte(payload))
		if answer != nil && err != nil {
			t.Errorf("%s: an answer and an error", payload)
		}
		return err
	}
	refused("rotation off", v.step("createSecret", "token"), "not enabled")
	token := v.ask()
	refused("no event", invoke(`{`), "no step")
	refused("empty event", invoke(`{}`), "no step")
	refused("an HTTP event", invoke(string(newEvent("GET", "/health").json(t))), "no step")
	refused("another secret", invoke(string(rotationStep("createSecret", v.arn+"x", token))), "another secret")
	refused("unknown step", v.step("deleteSecret", token), "no step that is known")
	refused("unknown token", v.step("createSecret", "token"), "not pending")
	refused("test before create", v.step("testSecret", token), "no value")
	v.must(v.step("createSecret", token))
	stale := token

	// Somebody writes over the pending version: what is not all of the current one, or not usable, is not let through.
	for says, text := range map[string]string{
		"has changed since":     strings.Replace(oneKey, firstSecret, secondSecret, 1),
		"no JSON object":        secondSecret,
		"fewer than 8":          strings.TrimSuffix(oneKey, "}") + `,"k2":"` + strings.Repeat("ab", 32) + `"}`,
		"lookup names no key":   strings.Replace(twoKeys, `"lookup":"k1"`, `"lookup":"k3"`, 1),
		"is neither lookup":     strings.Replace(oneKey, `"lookup"`, `"comment":"","lookup"`, 1),
		"least 32 are needed":   strings.TrimSuffix(oneKey, "}") + `,"k2":"short"}`,
		"is that of k1":         strings.TrimSuffix(oneKey, "}") + `,"k2":"` + firstSecret + `"}`,
		"has changed since the": strings.Replace(twoKeys, `"lookup":"k1"`, `"lookup":"k2"`, 1),
	} {
		token := rand.Text() + rand.Text()
		_, err := v.client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
			SecretId: &v.arn, ClientRequestToken: &token, SecretString: &text, VersionStages: []string{"AWSPENDING"},
		})
		v.must(err)
		refused("testing "+says, v.step("testSecret", token), says)
	}
	refused("a token that is pending no more", v.step("finishSecret", stale), "not pending")
	if v.text(nil) != oneKey {
		t.Error("a refused rotation changed the current document")
	}
	// A schedule is tried out with the current document.
	again := rand.Text() + rand.Text()
	_, err := v.client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
		SecretId: &v.arn, ClientRequestToken: &again, SecretString: aws.String(oneKey), VersionStages: []string{"AWSPENDING"},
	})
	v.must(err)
	v.must(v.step("testSecret", again))

	for value, says := range map[string]string{"": "is needed", firstSecret: "is no ARN"} {
		_, err := boot.NewRotationIn(boot.Around{Getenv: func(string) string { return value }, Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
		refused("SESSION_KEYS_SECRET_ARN="+value, err, says)
	}
}

// The function as it is built, and one whose keys it rotates.
func testRotation(t *testing.T, binaries string) {
	v := newVault(t)
	env := []string{"SESSION_KEYS_SECRET_ARN=" + v.arn}
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		env = append(env, name+"="+v.getenv(name))
	}
	env = append(env, "AWS_ENDPOINT_URL="+v.getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER"))
	f := startFunction(t, filepath.Join(binaries, "rotate-keys"), env...)
	token := v.ask()
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		if got := f.Invoke(t, rotationStep(step, v.arn, token)); got.Failed || string(got.Payload) != "null" {
			t.Fatalf("%s: failed %v, %s", step, got.Failed, got.Payload)
		}
	}
	if got := f.Invoke(t, rotationStep("createSecret", v.arn, "unknown")); !got.Failed {
		t.Errorf("an unknown token: failed %v, %s", got.Failed, got.Payload)
	}
	if document, err := seal.ParseDocument(v.text(nil)); err != nil || len(document.Masters) != 2 {
		t.Errorf("%v, %v", document, err)
	}
	var served []string
	for _, variable := range environment(t, redistest.Embedded(t)) {
		if !strings.HasPrefix(variable, "SESSION_") {
			served = append(served, variable)
		}
	}
	health := startFunction(t, filepath.Join(binaries, "check-health"), append(served, env...)...)
	wantStatus(t, health.invoke(t, newEvent("GET", "/health")), http.StatusOK)

	f.Signal(t, syscall.SIGTERM)
	if status := f.ExitStatus(t); status != 0 {
		t.Errorf("ended with %d", status)
	}
	for name, broken := range map[string][]string{"rotate-keys": {}, "check-health": append(served, env[:len(env)-1]...)} {
		if name == "check-health" {
			broken = append(broken, "AWS_ENDPOINT_URL=http://127.0.0.1:1")
		}
		f := startFunction(t, filepath.Join(binaries, name), broken...)
		if status := f.ExitStatus(t); status != 1 {
			t.Errorf("%s without its keys ended with %d", name, status)
		}
		if entries, err := f.Output.Entries(); err != nil || len(entries) != 1 || !strings.Contains(f.Output.String(), "SESSION_KEYS_SECRET_ARN: ") {
			t.Errorf("%s logged %s, %v", name, f.Output, err)
		}
	}
}

// What an operator takes out of the current document, or adds to it, while a rotation is under way is neither brought back
// nor lost: the rotation is refused, also in its last step.
func TestRotation_editedMeanwhile(t *testing.T) {
	for name, edit := range map[string]func(two string) string{
		"a key was taken out": func(string) string { return oneKey },
		"a key was added":     func(two string) string { return strings.TrimSuffix(two, "}") + `,"k9":"` + newSecretText() + `"}` },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			v.rotate()
			token := v.ask()
			v.must(v.step("createSecret", token))
			v.must(v.step("testSecret", token))
			edited, before := edit(v.text(nil)), v.current()
			put, err := v.client.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
				SecretId: &v.arn, SecretString: &edited, VersionStages: []string{"EDITED"},
			})
			v.must(err)
			v.move("AWSCURRENT", &before, put.VersionId)
			v.move("AWSPENDING", nil, &token) // moto takes it off at any change
			for _, step := range []string{"testSecret", "finishSecret"} {
				if err := v.step(step, token); err == nil || !strings.Contains(err.Error(), "has changed since") {
					t.Errorf("%s: %v", step, err)
				}
			}
			if v.text(nil) != edited {
				t.Error("the rotation wrote over what was edited")
			}
		})
	}
}

// A rotation that comes to its end when its key would be used at once is refused: nobody knows that key yet.
func TestRotation_tooLate(t *testing.T) {
	v := newVault(t)
	token := v.ask()
	v.must(v.step("createSecret", token))
	v.must(v.step("testSecret", token))
	v.clock.add(45 * time.Minute)
	for _, step := range []string{"testSecret", "finishSecret"} {
		if err := v.step(step, token); err == nil || !strings.Contains(err.Error(), "before every instance knows it") {
			t.Errorf("%s: %v", step, err)
		}
	}
	if v.text(nil) != oneKey {
		t.Error("the late document is current")
	}
}

// move moves a stage from one version to another.
func (v *vault) move(stage string, from, to *string) {
	v.t.Helper()
	_, err := v.client.UpdateSecretVersionStage(context.Background(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &v.arn, VersionStage: &stage, RemoveFromVersionId: from, MoveToVersionId: to,
	})
	v.must(err)
}

func newSecretText() string { return (rand.Text() + rand.Text() + rand.Text())[:64] }
