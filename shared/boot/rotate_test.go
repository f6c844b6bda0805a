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

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/seal"
)

func newVault(t *testing.T) *awstest.Vault {
	t.Helper()
	v := awstest.NewVault(t)
	rotation, err := boot.NewRotationIn(v.Environment())
	v.Must(err)
	v.Rotation = rotation
	return v
}

// instance is one running function's service, of any number over one Redis.
type instance struct {
	*boot.Service
	t *testing.T
}

func newInstance(t *testing.T, v *awstest.Vault, r redistest.Redis) instance {
	t.Helper()
	cfg := mustLoad(t, deployed("SESSION_KEYS_SECRET_ARN", v.ARN, "SESSION_SECRET", "", "SESSION_ENCRYPTION_KEY", "",
		"SESSION_TIMEOUT_MINUTES", "720", "ACCESS_TOKEN_MINUTES", "720", "REDIS_KEY_PREFIX", r.Prefix))
	cfg.Redis.Addr = r.Addr
	service, err := boot.NewService(context.Background(), cfg, v.Environment())
	v.Must(err)
	t.Cleanup(func() { _ = service.Close() })
	return instance{service, t}
}

// invoke calls a route as one invocation does; without what an invocation begins with where met is set.
func (i instance) invoke(route func(*api.API) http.Handler, e lambdatest.Event, met bool) lambdatest.Response {
	i.t.Helper()
	f := i.Keep(lambdahttp.NewHandler(route(i.API), host))
	if met {
		f = lambdahttp.NewHandler(route(i.API), host)
	}
	payload, err := f.Invoke(context.Background(), e.JSON(i.t))
	if err != nil {
		i.t.Fatal(err)
	}
	return lambdatest.DecodeResponse(i.t, payload)
}

func (i instance) login() tokens {
	i.t.Helper()
	e := lambdatest.NewEvent("POST", "/auth/login")
	text, err := json.Marshal(signed(i.t, func(query string) lambdatest.Response {
		e := lambdatest.NewEvent("GET", "/auth/nonce")
		e.RawQueryString = "transport=bearer" + query
		return i.invoke((*api.API).Nonce, e, false)
	}))
	if err != nil {
		i.t.Fatal(err)
	}
	e.Body, e.Headers["content-type"] = string(text), "application/json"
	return tokensOf(i.t, i.invoke((*api.API).Login, e, false))
}

func (i instance) profile(access string, met bool) lambdatest.Response {
	i.t.Helper()
	e := lambdatest.NewEvent("GET", "/api/profile")
	e.Headers["authorization"] = "Bearer " + access
	return i.invoke((*api.API).Profile, e, met)
}

func (i instance) refresh(refresh string) tokens {
	i.t.Helper()
	e := lambdatest.NewEvent("POST", "/auth/refresh")
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
	early := newInstance(t, v, r)
	former := early.login()
	k1, _ := keyIDs(t, awstest.OneKey)
	if keyOf(t, former.AccessToken) != k1 {
		t.Fatal("the first session is not under the first key")
	}

	v.Rotate()
	document, err := seal.ParseDocument(v.Text(nil))
	if err != nil || len(document.Masters) != 2 || document.Lookup != "k1" || document.Masters[0].Secret != awstest.FirstSecret ||
		!document.Masters[1].ActiveFrom.Equal(awstest.Start.Add(time.Hour)) || len(document.Masters[1].Secret) != 64 {
		t.Fatalf("after the rotation: %v, %v", document, err)
	}
	_, k2 := keyIDs(t, v.Text(nil))

	// Known and not yet active: nobody uses it.
	late := newInstance(t, v, r)
	if !late.Has(k2) || early.Has(k2) {
		t.Fatal("who knows the new key is not who should")
	}
	if got := keyOf(t, late.login().AccessToken); got != k1 {
		t.Errorf("a session before the key is active is under %x", got)
	}
	v.Clock.Add(time.Hour)
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
	v.Rotate()
	if document, err := seal.ParseDocument(v.Text(nil)); err != nil || len(document.Masters) != 3 {
		t.Errorf("after the second rotation: %v, %v", document, err)
	}

	// Taken away by hand: what it opened is shut, at every instance once it has looked.
	v.Put(awstest.OneKey)
	v.Clock.Add(10 * time.Minute)
	for _, i := range []instance{early, late} {
		wantProblem(t, i.profile(next.AccessToken, false), http.StatusUnauthorized, "invalid_token")
		wantStatus(t, i.profile(former.AccessToken, false), http.StatusOK)
	}
	// The lookup key cannot be.
	v.Put(`{"lookup":"k1","k2":"` + awstest.SecondSecret + `"}`)
	v.Clock.Add(10 * time.Minute)
	wantStatus(t, early.profile(former.AccessToken, false), http.StatusOK)

	if _, err := v.Log.Entries(); err != nil || !strings.Contains(v.Log.String(), "lookup names no key") {
		t.Errorf("%v, logged %s", err, v.Log)
	}
	for _, m := range document.Masters {
		if strings.Contains(v.Log.String(), m.Secret[:8]) {
			t.Errorf("the log holds the secret of %s", m.Name)
		}
	}
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
		answer, err := v.Rotation.Invoke(context.Background(), []byte(payload))
		if answer != nil && err != nil {
			t.Errorf("%s: an answer and an error", payload)
		}
		return err
	}
	refused("rotation off", v.Step("createSecret", "token"), "not enabled")
	token := v.Ask()
	refused("no event", invoke(`{`), "no step")
	refused("empty event", invoke(`{}`), "no step")
	refused("an HTTP event", invoke(string(lambdatest.NewEvent("GET", "/health").JSON(t))), "no step")
	refused("another secret", invoke(string(awstest.RotationStep("createSecret", v.ARN+"x", token))), "another secret")
	refused("unknown step", v.Step("deleteSecret", token), "no step that is known")
	refused("unknown token", v.Step("createSecret", "token"), "not pending")
	refused("test before create", v.Step("testSecret", token), "no value")
	v.Must(v.Step("createSecret", token))
	stale := token

	// Somebody writes over the pending version: what is not all of the current one, or not usable, is not let through.
	for says, text := range map[string]string{
		"has changed since":     strings.Replace(awstest.OneKey, awstest.FirstSecret, awstest.SecondSecret, 1),
		"no JSON object":        awstest.SecondSecret,
		"fewer than 8":          strings.TrimSuffix(awstest.OneKey, "}") + `,"k2":"` + strings.Repeat("ab", 32) + `"}`,
		"lookup names no key":   strings.Replace(awstest.TwoKeys, `"lookup":"k1"`, `"lookup":"k3"`, 1),
		"is neither lookup":     strings.Replace(awstest.OneKey, `"lookup"`, `"comment":"","lookup"`, 1),
		"least 32 are needed":   strings.TrimSuffix(awstest.OneKey, "}") + `,"k2":"short"}`,
		"is that of k1":         strings.TrimSuffix(awstest.OneKey, "}") + `,"k2":"` + awstest.FirstSecret + `"}`,
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

	for value, says := range map[string]string{"": "is needed", awstest.FirstSecret: "is no ARN"} {
		_, err := boot.NewRotationIn(awsenv.Environment{Getenv: func(string) string { return value }, Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
		refused("SESSION_KEYS_SECRET_ARN="+value, err, says)
	}
}

// The function as it is built, and one whose keys it rotates.
func testRotation(t *testing.T, binaries string) {
	v := newVault(t)
	env := []string{"SESSION_KEYS_SECRET_ARN=" + v.ARN}
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		env = append(env, name+"="+v.Getenv(name))
	}
	env = append(env, "AWS_ENDPOINT_URL="+v.Getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER"))
	f := startFunction(t, filepath.Join(binaries, "rotate-keys"), env...)
	token := v.Ask()
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		if got := f.Invoke(t, awstest.RotationStep(step, v.ARN, token)); got.Failed || string(got.Payload) != "null" {
			t.Fatalf("%s: failed %v, %s", step, got.Failed, got.Payload)
		}
	}
	if got := f.Invoke(t, awstest.RotationStep("createSecret", v.ARN, "unknown")); !got.Failed {
		t.Errorf("an unknown token: failed %v, %s", got.Failed, got.Payload)
	}
	if document, err := seal.ParseDocument(v.Text(nil)); err != nil || len(document.Masters) != 2 {
		t.Errorf("%v, %v", document, err)
	}
	var served []string
	for _, variable := range environment(t, redistest.Embedded(t)) {
		if !strings.HasPrefix(variable, "SESSION_") {
			served = append(served, variable)
		}
	}
	health := startFunction(t, filepath.Join(binaries, "check-health"), append(served, env...)...)
	wantStatus(t, health.invoke(t, lambdatest.NewEvent("GET", "/health")), http.StatusOK)

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

// A rotation that comes to its end when its key would be used at once is refused: nobody knows that key yet.
func TestRotation_tooLate(t *testing.T) {
	v := newVault(t)
	token := v.Ask()
	v.Must(v.Step("createSecret", token))
	v.Must(v.Step("testSecret", token))
	v.Clock.Add(45 * time.Minute)
	for _, step := range []string{"testSecret", "finishSecret"} {
		if err := v.Step(step, token); err == nil || !strings.Contains(err.Error(), "before every instance knows it") {
			t.Errorf("%s: %v", step, err)
		}
	}
	if v.Text(nil) != awstest.OneKey {
		t.Error("the late document is current")
	}
}

func newSecretText() string { return (rand.Text() + rand.Text() + rand.Text())[:64] }
