package boot_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/seal"
	"latchkey/shared/secrets"
)

// rotations is how many rotations are under way at once. They are few because
// a busy machine must answer all their calls in the time that a call may take.
const rotations = 8

// versions stands in for Secrets Manager. Its secret has a pending version for
// each rotation. It holds the text of each version that has one.
type versions struct {
	mu    sync.Mutex
	texts map[string]string
}

const currentVersion = "current"

func rotationToken(i int) string { return fmt.Sprintf("rotation-%d", i) }

// ServeHTTP implements [http.Handler].
func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		awstest.Refuse(w, "InvalidRequestException", err.Error())
		return
	}
	given := func(name string) string { value, _ := in[name].(string); return value }
	answer := map[string]any{"ARN": keysARN, "Name": "keys"}
	_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch call {
	case "DescribeSecret":
		stages := map[string][]string{currentVersion: {"AWSCURRENT"}}
		for i := range rotations {
			stages[rotationToken(i)] = []string{"AWSPENDING"}
		}
		answer["RotationEnabled"], answer["VersionIdsToStages"] = true, stages
	case "GetSecretValue":
		version := cmp.Or(given("VersionId"), currentVersion)
		if v.texts[version] == "" {
			awstest.Refuse(w, "ResourceNotFoundException", "no value")
			return
		}
		answer["VersionId"], answer["SecretString"] = version, v.texts[version]
	case "PutSecretValue":
		v.texts[given("ClientRequestToken")] = given("SecretString")
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// One process serves several rotations at once. Each writes its own version,
// with a key that no other has.
func TestRotation_concurrent(t *testing.T) {
	v := &versions{texts: map[string]string{currentVersion: awstest.OneKey}}
	server := httptest.NewServer(v)
	defer server.Close()
	role, output := awstest.Role(server.URL), new(lambdatest.Output)
	getenv := func(name string) string {
		if name == "SESSION_KEYS_SECRET_ARN" {
			return keysARN
		}
		return role(name)
	}
	rotation, err := secrets.NewRotation(awsenv.Environment{
		Getenv: getenv, Now: awstest.NewClock(awstest.Start).Now, Log: boot.NewLogger(output),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"createSecret", "setSecret", "testSecret"} {
		atOnce(t, rotations, func(i int) ([]byte, error) {
			event := awstest.RotationStep(step, keysARN, rotationToken(i))
			return rotation.Invoke(context.Background(), event)
		})
		for i := range rotations {
			line := fmt.Sprintf(`"step":%q,"version":%q`, step, rotationToken(i))
			if n := strings.Count(output.String(), line); n != 1 {
				t.Errorf("%s is logged %d times in %s", line, n, output)
			}
		}
	}
	drawn := map[string]bool{}
	for _, version := range slices.Sorted(maps.Keys(v.texts)) {
		d, err := seal.ParseDocument(v.texts[version])
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		drawn[d.Newest().Secret] = true
		if want := 1 + min(1, strings.Count(version, "rotation")); len(d.Masters) != want {
			t.Errorf("%s has %d keys, want %d", version, len(d.Masters), want)
		}
	}
	if len(drawn) != rotations+1 {
		t.Errorf("%d keys, want %d", len(drawn), rotations+1)
	}
}
