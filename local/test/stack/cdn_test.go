package stack_test

import (
	"strings"
	"testing"
)

// TestStack_behindACDN looks at what the parameters of a CDN add: nothing but variables, and the way to the one secret. The
// secret itself is neither a parameter nor a dynamic reference, which would both put it where the functions' variables are
// shown.
func TestStack_behindACDN(t *testing.T) {
	without, with := deploy(t), deploy(t, ways["behind a CDN"]...)
	for id, resource := range with.resources {
		former := without.resources[id]
		if former.value == nil {
			t.Errorf("a CDN adds %s", id)
		}
		changed := former.String() != resource.String()
		kind := resource.at("Type").String()
		if want := kind == "AWS::Lambda::Function" && !servesFiles(id) || id == "StorePolicy" || id == "SecretsEndpoint"; changed != want {
			t.Errorf("%s is changed by a CDN: %v", id, changed)
		}
	}
	if len(with.resources) != len(without.resources) {
		t.Errorf("%d resources, and %d behind a CDN", len(without.resources), len(with.resources))
	}
	statements := with.resources["SecretsEndpoint"].at("Properties", "PolicyDocument", "Statement")
	if got := statements.String(); len(statements.list()) != 2 || strings.Count(got, originARN) != 1 || strings.Count(got, "secretsmanager:GetSecretValue") != 2 {
		t.Errorf("the endpoint allows %s", got)
	}
	statements = without.resources["SecretsEndpoint"].at("Properties", "PolicyDocument", "Statement")
	if len(statements.list()) != 1 {
		t.Errorf("without a CDN the endpoint allows %s", statements)
	}
	for name, p := range ours.template["Parameters"].(map[string]any) {
		parameter := node{p}
		if strings.Contains(name, "Origin") && parameter.at("NoEcho").value != nil {
			t.Errorf("%s is a secret in a parameter", name)
		}
	}
	if text := (node{ours.template}).String(); strings.Contains(text, "{{resolve:") {
		t.Error("the template has a dynamic reference")
	}
}

// TestStack_addressHeaderNeedsTheSecret holds that a stack is refused whose functions would not start.
func TestStack_addressHeaderNeedsTheSecret(t *testing.T) {
	deploy(t)
	rule := node{ours.template}.at("Rules", "Cdn")
	for name, c := range map[string]struct {
		parameters map[string]string
		applies    bool
		holds      bool
	}{
		"neither":          {map[string]string{"ClientAddressHeader": "", "OriginVerifySecretArn": ""}, false, false},
		"the secret alone": {map[string]string{"ClientAddressHeader": "", "OriginVerifySecretArn": originARN}, false, true},
		"both":             {map[string]string{"ClientAddressHeader": "x-viewer-ip", "OriginVerifySecretArn": originARN}, true, true},
		"the header alone": {map[string]string{"ClientAddressHeader": "x-viewer-ip", "OriginVerifySecretArn": ""}, true, false},
	} {
		r := resolver{template: ours.template, parameters: c.parameters}
		if applies := r.resolve(rule.at("RuleCondition").value) == true; applies != c.applies {
			t.Errorf("%s: the rule applies: %v", name, applies)
		}
		if holds := r.resolve(rule.at("Assertions", "0", "Assert").value) == true; holds != c.holds {
			t.Errorf("%s: the assertion holds: %v", name, holds)
		}
	}
}
