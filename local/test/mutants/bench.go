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

// bench is where mutations are tried.
type bench struct{ root, temp string }

// outcome is what came of a mutation.
type outcome string

const (
	caught   outcome = "caught"   // the test failed, by what it asserts
	survived outcome = "SURVIVED" // the test passed
	broken   outcome = "BROKEN"   // nothing was learnt: it did not apply, compile or run
)

// trialResult is an outcome, and a few lines that tell why.
type trialResult struct {
	outcome outcome
	lines   []string
}

// event is a line of go test -json.
type event struct{ Action, Test, Output string }

// holds runs the tests of all mutations without any. They must pass, and none may be skipped.
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
				faults = errors.Join(faults, fmt.Errorf("without a mutation %s in %s does not pass: %s", name, pkg, strings.Join(v.lines, "\n")))
			}
		}
	}
	return faults
}

// try runs a mutation's test with it.
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

// overlay writes the mutated file and what tells go test to read it in place of the other.
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

// goTest runs tests of one package and returns what go test told. A test that fails is no error.
func (b bench) goTest(ctx context.Context, pkg string, tests []string, flags ...string) ([]event, error) {
	// Each mutation costs a build, and the builds cost most of the time: without optimisation, debugging tables, vet and
	// most of the compiler's collecting of garbage they take half of it.
	args := append([]string{
		"test", "-json", "-count=1", "-vet=off", "-gcflags=-N -l", "-ldflags=-s -w", "-timeout=2m", "-run=" + pattern(tests),
	}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "GOGC=400")
	cmd.WaitDelay = time.Second // for the test that go test runs, should this be interrupted
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var events []event
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var e event
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("reading what go test told: %w", err)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("running go test: %w: %s", err, stderr.String())
	}
	return events, nil
}

// pattern is what go test's -run takes for exactly these tests, with all below them.
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

// crash is what is said where something ended in another way than by a test's assertion. A script that does not compile or
// ends in an error is one of them: it would make any test fail that runs it.
var crash = regexp.MustCompile(`^panic: |^fatal error: |Error compiling script`)

// asserted is the beginning of what a test says that fails.
var asserted = regexp.MustCompile(`^\s+\w+_test\.go:\d+: `)

// classify reads what a test came to.
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
	return trialResult{broken, []string{"the test says nothing: is there one of that name, and does it run here?"}}
}

// few are the first two of some lines, not all of each: that says enough.
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
