package stack_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// declaredParameter is a parameter as a template declares it.
type declaredParameter struct {
	Default        *string  `yaml:"Default"`
	NoEcho         any      `yaml:"NoEcho"`
	AllowedPattern *string  `yaml:"AllowedPattern"`
	AllowedValues  []string `yaml:"AllowedValues"`
	MinLength      int      `yaml:"MinLength"`
	Description    string   `yaml:"Description"`
}

func declaredParameters(t *testing.T, path string) map[string]declaredParameter {
	t.Helper()
	var file struct {
		Parameters map[string]declaredParameter `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, path)), &file); err != nil || len(file.Parameters) == 0 {
		t.Fatalf("%s has %d parameters: %v", path, len(file.Parameters), err)
	}
	return file.Parameters
}

// takes reports whether CloudFormation accepts a value.
func (p declaredParameter) takes(value string) bool {
	if p.AllowedPattern != nil && !regexp.MustCompile("^(?:"+*p.AllowedPattern+")$").MatchString(value) {
		return false
	}
	return len(value) >= p.MinLength && (p.AllowedValues == nil || slices.Contains(p.AllowedValues, value))
}

// The trap: sam deploy --guided asks for each parameter. For one with NoEcho it
// offers no default and asks again until something other than Enter comes. Enter
// at any other question takes the default, which must then be a valid value.
func TestSAM_guidedTakesEnterAtEveryParameterButTheDomain(t *testing.T) {
	for path, asked := range map[string][]string{"template.yaml": {"SiweDomains"}, example: nil} {
		for name, p := range declaredParameters(t, path) {
			if p.NoEcho != nil {
				t.Errorf("%s: %s has NoEcho, so --guided cannot be finished with Enter", path, name)
			}
			if p.Default == nil && !slices.Contains(asked, name) {
				t.Errorf("%s: %s has no default", path, name)
			}
			if p.Default != nil && !p.takes(*p.Default) {
				t.Errorf("%s: %s does not accept its default %q", path, name, *p.Default)
			}
		}
	}
}

// The trap: a password in a parameter without NoEcho is shown by SAM, by
// CloudFormation and in samconfig.toml. And a stack that has one in
// RedisPassword would lose it if the parameter were simply gone.
func TestSAM_noParameterTakesAPassword(t *testing.T) {
	p, ok := declaredParameters(t, "template.yaml")["RedisPassword"]
	if !ok {
		t.Fatal("without RedisPassword, the update of a stack that has one is not refused")
	}
	if p.takes("pass") || !p.takes("") {
		t.Error("RedisPassword takes a password, or refuses none")
	}
	if !strings.Contains(readFile(t, "template.yaml"), "ConstraintDescription: must be empty. Put the password into a secret") {
		t.Error("the refusal of RedisPassword does not say what to do")
	}
}

// samResource is what tells SAM whether a function is authenticated.
type samResource struct {
	Properties struct {
		Auth   map[string]any `yaml:"Auth"`
		Events map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Auth  any    `yaml:"Auth"`
				APIID string `yaml:"ApiId"`
			} `yaml:"Properties"`
		} `yaml:"Events"`
	} `yaml:"Properties"`
}

// The trap: if neither a function's event nor its API has Auth, SAM asks about
// each function whether missing authentication is okay, and Enter means no.
func TestSAM_guidedAsksAboutNoAuthentication(t *testing.T) {
	for _, path := range []string{"template.yaml", example} {
		var file struct {
			Resources map[string]samResource `yaml:"Resources"`
		}
		if err := yaml.Unmarshal([]byte(readFile(t, path)), &file); err != nil {
			t.Fatal(err)
		}
		events := 0
		for id, resource := range file.Resources {
			for _, event := range resource.Properties.Events {
				if event.Type != "HttpApi" {
					continue
				}
				events++
				if event.Properties.Auth == nil && len(file.Resources[event.Properties.APIID].Properties.Auth) == 0 {
					t.Errorf("%s: --guided asks about %s", path, id)
				}
			}
		}
		if events < 2 {
			t.Errorf("%s: only %d routes were found", path, events)
		}
	}
}

// The API's Auth only keeps SAM from asking: what is deployed is the same
// without it.
func TestSAM_authChangesNothing(t *testing.T) {
	text := readFile(t, "template.yaml")
	without := strings.Replace(text, "      Auth: {EnableIamAuthorizer: false}\n", "", 1)
	if without == text {
		t.Fatal("the API has no Auth")
	}
	if got, want := (node{translatedText(t, without)}).String(), (node{template(t)}).String(); got != want {
		t.Error("the expanded template differs without Auth")
	}
}
