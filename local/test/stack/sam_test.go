package stack_test

import (
	"encoding/json"
	"os/exec"
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
	for path, asked := range map[string][]string{"template.yaml": {"SiweDomains"}, example: nil, socketExample: nil} {
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

// samconfig returns the parameters of a command in samconfig.toml.
func samconfig(t *testing.T, environment, command string) node {
	t.Helper()
	return samconfigOf(t, readFile(t, "samconfig.toml")).at(environment, command, "parameters")
}

func samconfigOf(t *testing.T, text string) node {
	t.Helper()
	read := exec.Command("python3", "-c", "import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer), sys.stdout)")
	read.Stdin = strings.NewReader(text)
	var errs strings.Builder
	read.Stderr = &errs
	out, err := read.Output()
	if err != nil {
		need(t, "samconfig.toml cannot be read, for which python3 with tomllib (3.11) is needed: "+errs.String())
	}
	var file any
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	return node{file}
}

// overrides are the parameters that samconfig.toml gives to sam deploy.
func overrides(t *testing.T, deployment node) (list []string) {
	t.Helper()
	declared := declaredParameters(t, "template.yaml")
	for _, item := range deployment.at("parameter_overrides").list() {
		name, value, _ := strings.Cut(item.String(), "=")
		if p, ok := declared[name]; !ok || !p.takes(value) {
			t.Errorf("samconfig.toml has %s, which the template does not take", item)
		}
		list = append(list, item.String())
	}
	return list
}

// The trap: whatever is missing in samconfig.toml, SAM asks for or takes from
// the command line, where --parameter-overrides replaces all that is here.
func TestSAM_devAsksNothing(t *testing.T) {
	dev := samconfig(t, "dev", "deploy")
	expect(t, "dev", dev, map[string]string{
		"stack_name": "latchkey-dev", "resolve_s3": "true", "capabilities": "CAPABILITY_IAM", "confirm_changeset": "false",
	})
	s := deploy(t, append(overrides(t, dev), "SiweDomains=app.example.com")...)
	if n := len(s.of("AWS::CloudWatch::Alarm")); n > 0 {
		t.Errorf("dev has %d alarms", n)
	}
	for id, group := range s.of("AWS::Logs::LogGroup") {
		expect(t, "dev: "+id, group, map[string]string{"RetentionInDays": "7"})
	}
	// CAPABILITY_IAM does not suffice for resources with a name of ours.
	for id, resource := range s.resources {
		for _, name := range []string{"RoleName", "ManagedPolicyName"} {
			if resource.at("Properties", name).value != nil {
				t.Errorf("%s has a %s, which needs CAPABILITY_NAMED_IAM", id, name)
			}
		}
	}
}

// The domain is one line that only has to be uncommented. Every other parameter
// has a default.
func TestSAM_domainIsTheOnlyMissingLine(t *testing.T) {
	const line = `# "SiweDomains=app.example.com",`
	text := readFile(t, "samconfig.toml")
	for _, environment := range []string{"dev", "prod"} {
		before := overrides(t, samconfigOf(t, text).at(environment, "deploy", "parameters"))
		uncommented := samconfigOf(t, strings.ReplaceAll(text, line, line[2:])).at(environment, "deploy", "parameters")
		after := overrides(t, uncommented)
		if slices.Contains(before, "SiweDomains=app.example.com") || !slices.Contains(after, "SiweDomains=app.example.com") {
			t.Errorf("%s: SiweDomains is not a line to uncomment: %q, then %q", environment, before, after)
		}
	}
}

// The trap: parameters on the command line drop those of samconfig.toml. A page
// that shows such a command gives dev alarms and 30 days of logs.
func TestSAM_docsChangeParametersInSamconfig(t *testing.T) {
	for _, page := range []string{"docs/deploy.md", "docs/runbook.md", "docs/operations.md", "docs/authorizer.md", "docs/tutorial.md", "README.md"} {
		joined := strings.ReplaceAll(readFile(t, page), "\\\n", " ")
		for _, command := range regexp.MustCompile(`(?m)^.*\bsam deploy\b.*--parameter-overrides.*$`).FindAllString(joined, -1) {
			t.Errorf("%s shows %q", page, command)
		}
	}
	says(t, "docs/deploy.md", "Parameters", "`--parameter-overrides` on the command line replaces the whole list", "keeps its value at an update", "also if you deleted its line")
}

// The trap: six compilers at once each compile what the functions share, because
// none finds it in the cache yet.
func TestSAM_buildsInSequence(t *testing.T) {
	for _, environment := range []string{"default", "dev", "prod"} {
		expect(t, environment, samconfig(t, environment, "build"), map[string]string{
			"parallel": "false", "cached": "false", "build_in_source": "true",
		})
	}
}

// The trap: what sam build writes beside the example was not ignored, and would
// be committed: binaries of megabytes.
func TestSAM_buildOutputIsIgnored(t *testing.T) {
	for _, folder := range []string{"", "local/protected-api/", "local/protected-api/websocket/"} {
		command := exec.Command("git", "check-ignore", "--quiet", folder+".aws-sam/build/template.yaml")
		command.Dir = root
		if err := command.Run(); err != nil {
			t.Errorf("git does not ignore %s.aws-sam: %v", folder, err)
		}
	}
}

// says checks that a section of a page has each of these phrases.
func says(t *testing.T, page, title string, phrases ...string) {
	t.Helper()
	_, section, found := strings.Cut(readFile(t, page), "\n## "+title+"\n")
	if !found {
		t.Errorf("%s has no section %q", page, title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, phrase := range phrases {
		if !strings.Contains(section, phrase) {
			t.Errorf("%s: %s does not say %q", page, title, phrase)
		}
	}
}

// The traps: without credentials or region sam deploy fails, the upload takes
// its time, and --guided changes a file that git tracks.
func TestSAM_docsSayWhatADeploymentNeeds(t *testing.T) {
	says(t, "docs/deploy.md", "Deploy with one command", "`aws sts get-caller-identity`", "`AWS_REGION`", "37 zip files of 4.5 MB", "S3 bucket")
	says(t, "docs/deploy.md", "The guided deployment", "`samconfig.toml`, which git tracks", "Enter at all others", "`RedisPassword`")
}

// The trap: a first deployment that fails left the secret behind. It is deleted
// now, and the pages say so.
func TestSAM_docsSayWhatAFailedDeploymentLeaves(t *testing.T) {
	says(t, "docs/deploy.md", "If a deployment fails", "deletes the secret")
	says(t, "docs/deploy.md", "Tear down", "The secret stays")
}

// The trap: sam local differs from API Gateway in more than its page said.
func TestSAM_docsSayHowSamLocalDiffers(t *testing.T) {
	says(t, "docs/tutorial.md", "In containers", "throttles nothing", "case of header names", "unknown route with 403",
		"trailing slash", "`//`", "`HEAD` with 502", "second `Cookie` header", "last value", "over 10 MB with 500",
		"same `X-Request-Id`", "exposes no headers", "`make sam-sweep`")
}
