package boot_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/boot"
	"latchkey/shared/seal"
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
	service, err := boot.NewService(context.Background(), cfg, v.Environment(), nil)
	v.Must(err)
	t.Cleanup(func() { _ = service.Close() })
	return instance{service, t}
}

// invoke calls a route as one invocation does; without what an invocation
// begins with where met is set.
func (i instance) invoke(route func(*api.API) http.Handler, e lambdatest.Event, met bool) lambdatest.Response {
	i.t.Helper()
	f := i.WithKeyRefresh(newHandler(route(i.API), host))
	if met {
		f = newHandler(route(i.API), host)
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

// The whole life of a key, from its making to its removal, with instances that
// learn of it at different moments.
func TestRotation_story(t *testing.T) {
	v, r := newVault(t), redistest.Embedded(t)
	early := newInstance(t, v, r)
	former := early.login()
	k1, _ := awstest.KeyIDs(t, awstest.OneKey)
	if keyOf(t, former.AccessToken) != k1 {
		t.Fatal("the first session is not under the first key")
	}

	v.Rotate()
	document, err := seal.ParseDocument(v.Text(nil))
	if err != nil || len(document.Masters) != 2 || document.Lookup != "k1" || document.Masters[0].Secret != awstest.FirstSecret ||
		!document.Masters[1].ActiveFrom.Equal(awstest.Start.Add(time.Hour)) || len(document.Masters[1].Secret) != 64 {
		t.Fatalf("after the rotation: %v, %v", document, err)
	}
	_, k2 := awstest.KeyIDs(t, v.Text(nil))

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

	// Taken away by hand: what it opened is shut, at every instance once it has
	// looked.
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

	if _, err := v.Log.Entries(); err != nil || !strings.Contains(v.Log.String(), "lookup must name a key") {
		t.Errorf("%v, logged %s", err, v.Log)
	}
	for _, m := range document.Masters {
		if strings.Contains(v.Log.String(), m.Secret[:8]) {
			t.Errorf("the log holds the secret of %s", m.Name)
		}
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
