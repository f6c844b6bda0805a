package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.yaml.in/yaml/v3"
)

// Access returns what the product's user may do, as rules of ACL SETUSER. They
// are the words of the access string that template.yaml gives the
// AWS::ElastiCache::User, with the keys under this test's prefix.
func (r Redis) Access(t testing.TB) []string {
	t.Helper()
	rules, err := templateAccess()
	must(t, err)
	return under(r.Prefix, rules)
}

// under replaces the template's prefix by another one.
func under(prefix string, rules []string) []string {
	rules = slices.Clone(rules)
	for i, rule := range rules {
		if isKeys(rule) {
			rules[i] = "~" + prefix + ":*"
		}
	}
	return rules
}

func isKeys(rule string) bool { return strings.HasPrefix(rule, "~") }

// newUser generates the credentials of the product's user.
func (r *Redis) newUser() {
	r.Username, r.Password = "latchkey-"+r.Prefix, rand.Text()
}

// userRules returns the rules that define that user: its password, and
// [Redis.Access].
func (r Redis) userRules(t testing.TB) []string {
	t.Helper()
	return append([]string{">" + r.Password}, r.Access(t)...)
}

// addUser adds that user to every server, until the test ends.
func (r Redis) addUser(t testing.TB) {
	t.Helper()
	rules := r.userRules(t)
	r.eachServer(t, func(ctx context.Context, node *redis.Client) error {
		return node.ACLSetUser(ctx, r.Username, rules...).Err()
	})
	t.Cleanup(func() {
		r.eachServer(t, func(ctx context.Context, node *redis.Client) error {
			return node.ACLDelUser(ctx, r.Username).Err()
		})
	})
}

// eachServer calls f for every server: the single one, or each node of a
// cluster, replicas too.
func (r Redis) eachServer(t testing.TB, f func(context.Context, *redis.Client) error) {
	t.Helper()
	addrs := r.Nodes
	if addrs == nil {
		addrs = []string{r.Addr}
	}
	for _, addr := range addrs {
		node := redis.NewClient(options(addr))
		err := f(context.Background(), node)
		_ = node.Close()
		if err != nil {
			t.Errorf("changing the product's user: %v", err)
		}
	}
}

// templateAccess reads the access string of the nearest template.yaml, in the
// working directory or above it.
var templateAccess = sync.OnceValues(func() ([]string, error) {
	path, err := findTemplate()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the access string: %w", err)
	}
	rules, err := parseAccess(text)
	if err != nil {
		return nil, fmt.Errorf("reading the access string of %s: %w", path, err)
	}
	return rules, nil
})

func findTemplate() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for template.yaml: %w", err)
	}
	for ; ; folder = filepath.Dir(folder) {
		path := filepath.Join(folder, "template.yaml")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if filepath.Dir(folder) == folder {
			return "", errors.New("no template.yaml in this folder or one above")
		}
	}
}

// parseAccess finds the one user of a template that may access keys, and
// returns the words of its access string. There must be one pattern for keys,
// which ends in ":*". An intrinsic function may make what precedes that.
func parseAccess(template []byte) ([]string, error) {
	var document struct {
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(template, &document); err != nil {
		return nil, err
	}
	var found [][]string
	for id, resource := range document.Resources {
		if resource.Type != "AWS::ElastiCache::User" {
			continue
		}
		var user struct {
			AccessString yaml.Node `yaml:"AccessString"`
		}
		if err := resource.Properties.Decode(&user); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		if rules := strings.Fields(spell(&user.AccessString)); slices.ContainsFunc(rules, isKeys) {
			found = append(found, rules)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d AWS::ElastiCache::User resources may access keys, want 1",
			len(found))
	}
	var keys []string
	for _, rule := range found[0] {
		if isKeys(rule) {
			keys = append(keys, rule)
		}
	}
	if len(keys) != 1 || !strings.HasSuffix(keys[0], ":*") {
		return nil, fmt.Errorf("the keys are %q, want one pattern that ends in :*", keys)
	}
	return found[0], nil
}

// spell returns the text that intrinsic functions make. A reference becomes the
// name that it refers to, !If its first choice, and !Sub the text with its
// variables. Anything else becomes "".
func spell(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.ScalarNode:
		return n.Value
	case n.Kind != yaml.SequenceNode:
		return ""
	case n.Tag == "!Sub" && len(n.Content) == 2:
		return spell(n.Content[0])
	case n.Tag == "!If" && len(n.Content) == 3:
		return spell(n.Content[1])
	case n.Tag == "!Join" && len(n.Content) == 2:
		var parts []string
		for _, item := range n.Content[1].Content {
			parts = append(parts, spell(item))
		}
		return strings.Join(parts, spell(n.Content[0]))
	}
	return ""
}
