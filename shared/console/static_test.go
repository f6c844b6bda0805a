package console_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"latchkey/client"
)

// forbidden is what turns text into HTML or code, and what keeps something beyond the page.
var forbidden = regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|` +
	`setHTML|createContextualFragment|DOMParser|srcdoc|\.style\b|localStorage|sessionStorage|indexedDB|document\.cookie`)

// What people typed is text, nothing is stored, and everything comes from the console's own origin.
func TestStatic_textAlone(t *testing.T) {
	names, err := filepath.Glob("static/*.js")
	if err != nil || len(names) < 15 {
		t.Fatalf("the modules are %q: %v", names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := forbidden.FindString(string(text)); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:import .*|\} )from '([^']+)'$`).FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`^\./[a-z]+\.js$`).MatchString(m[1]) {
				t.Errorf("%s imports %s", name, m[1])
			}
		}
		if _, err := client.Modules().Open(filepath.Base(name)); err == nil {
			t.Errorf("%s has the name of a module of the client", name)
		}
		if n := strings.Count(string(text), "\n"); n > 300 {
			t.Errorf("%s has %d lines", name, n)
		}
	}
	for _, html := range []string{"static/index.html", "static/refused.html"} {
		text, err := os.ReadFile(html)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`(?i)<style| style=| on[a-z]+=|<script[^>]*>[^<]|https?:`).FindString(string(text)); found != "" {
			t.Errorf("%s has %s", html, found)
		}
	}
}
