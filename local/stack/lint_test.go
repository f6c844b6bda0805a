package stack_test

import (
	"os/exec"
	"testing"
)

// TestLint has cfn-lint look at both templates, at ours once for each way to have a cache.
func TestLint(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		need(t, "no cfn-lint found: pip install cfn-lint")
	}
	for _, arguments := range [][]string{
		{"--parameters", "CacheMode=serverless", "--", "template.yaml"},
		{"--parameters", "CacheMode=replication-group", "--", "template.yaml"},
		{"--parameters", "CacheMode=existing", "--", "template.yaml"},
		{example},
	} {
		command := exec.Command(lint, arguments...)
		command.Dir = root
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("cfn-lint %s: %v\n%s", arguments, err, out)
		}
	}
}
