package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// bench runs mutations. It has the folders of the project and of temporary
// files.
type bench struct{ root, temp string }

// outcome is the result of a mutation.
type outcome string

const (
	caught   outcome = "caught"   // an assertion of the test failed
	survived outcome = "SURVIVED" // the test passed
	broken   outcome = "BROKEN"   // no result: it did not apply, compile or run
)

// trialResult is an outcome, with a few lines that say why.
type trialResult struct {
	outcome outcome
	lines   []string
}

// event is a line of go test -json.
type event struct{ Action, Test, Output string }

// holds runs the tests of all mutations without any mutation. They must pass,
// and none may be skipped.
func (b bench) holds(ctx context.Context, all []mutation) error {
	tests := map[string][]string{}
	for _, m := range all {
		if !slices.Contains(tests[m.pkg()], m.test) {
			tests[m.pkg()] = append(tests[m.pkg()], m.test)
		}
	}
	var faults error
	for pkg, names := range tests {
		events, err := b.goTest(ctx, pkg, names)
		if err != nil {
			return err
		}
		for _, name := range names {
			if v := classify(events, name); v.outcome != survived {
				faults = errors.Join(faults,
					fmt.Errorf("without a mutation %s in %s does not pass: %s",
						name, pkg, strings.Join(v.lines, "\n")))
			}
		}
	}
	return faults
}

// try applies a mutation and runs its test.
func (b bench) try(ctx context.Context, m mutation) trialResult {
	overlay, err := b.overlay(m)
	if err != nil {
		return trialResult{broken, []string{err.Error()}}
	}
	events, err := b.goTest(ctx, m.pkg(), []string{m.test}, "-overlay="+overlay)
	if err != nil {
		return trialResult{broken, []string{err.Error()}}
	}
	return classify(events, m.test)
}

// overlay writes the mutated file, and the file that makes go test read it
// instead of the original.
func (b bench) overlay(m mutation) (string, error) {
	original := filepath.Join(b.root, filepath.FromSlash(m.file))
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	text, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	mutant := filepath.Join(b.temp, m.name+filepath.Ext(m.file))
	if err := os.WriteFile(mutant, []byte(text), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutant}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(b.temp, m.name+".json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// goTest runs tests of one package and returns the output of go test. If a test
// fails, that is not an error.
func (b bench) goTest(
	ctx context.Context, pkg string, tests []string, flags ...string,
) ([]event, error) {
	// Each mutation needs a build, and the builds take most of the time.
	// Without optimisation, debugging tables and vet, and with fewer garbage
	// collections of the compiler, a build takes half as long.
	args := append([]string{
		"test", "-json", "-count=1", "-vet=off", "-gcflags=-N -l", "-ldflags=-s -w", "-timeout=2m",
		"-run=" + pattern(tests),
	}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	// What a weakened server answers is not collected.
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "GOGC=400", "ANSWERS=")
	cmd.WaitDelay = time.Second // if interrupted, the test that go test started may go on
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var events []event
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var e event
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("reading the output of go test: %w", err)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("running go test: %w: %s", err, stderr.String())
	}
	return events, nil
}

// pattern returns the value of -run that matches exactly these tests, with all
// their subtests.
func pattern(tests []string) string {
	var all []string
	for _, test := range tests {
		var parts []string
		for _, part := range strings.Split(test, "/") {
			parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}

// crash matches lines that show another end than a failed assertion. That
// includes a script that does not compile or ends with an error: it would make
// every test fail that runs it.
var crash = regexp.MustCompile(`^panic: |^fatal error: |Error compiling script`)

// asserted matches the beginning of the message of a failed assertion.
var asserted = regexp.MustCompile(`^\s+\w+_test\.go:\d+: `)

// classify returns the result of a test from the output of go test.
func classify(events []event, test string) trialResult {
	result, said, errs := "", []string{}, []string{}
	for _, e := range events {
		within := e.Test == test || strings.HasPrefix(e.Test, test+"/")
		text := strings.TrimRight(e.Output, "\n")
		switch {
		case e.Action == "build-output", crash.MatchString(text):
			errs = append(errs, strings.TrimSpace(text))
		case e.Action == "output" && within && asserted.MatchString(text):
			said = append(said, strings.TrimSpace(text))
		case e.Test == test && slices.Contains([]string{"pass", "fail", "skip"}, e.Action):
			result = e.Action
		}
	}
	switch {
	case len(errs) > 0:
		return trialResult{broken, few(errs)}
	case result == "pass":
		return trialResult{survived, []string{"the test passes"}}
	case result == "fail" && len(said) > 0:
		return trialResult{caught, few(said)}
	}
	return trialResult{broken, []string{
		"no result: check that the test exists and is not skipped on this machine",
	}}
}

// few returns the first two lines, shortened. That is enough to see the reason.
func few(lines []string) []string {
	const most = 160
	var some []string
	for _, line := range slices.Compact(lines) {
		if runes := []rune(line); len(runes) > most {
			line = string(runes[:most]) + "…"
		}
		some = append(some, line)
	}
	return some[:min(len(some), 2)]
}
