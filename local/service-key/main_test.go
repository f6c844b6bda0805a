package main // run is not exported: a command has no other package

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"latchkey/shared/config"
	"latchkey/shared/token"
)

// What is printed is a key, and what the configuration takes for it.
func TestRun(t *testing.T) {
	var first string
	for _, name := range []string{"orders", "a", "0-9", strings.Repeat("a", 32)} {
		var out, errs bytes.Buffer
		if err := run([]string{name}, &out, &errs); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\n")
		if len(lines) != 3 || lines[2] != "" || lines[0] == first {
			t.Fatalf("printed %q", lines)
		}
		first = lines[0]
		hash, err := token.ServiceKeyHash(lines[0])
		if err != nil {
			t.Fatalf("%s: %v", lines[0], err)
		}
		cfg, err := config.Load(func(variable string) string {
			return map[string]string{"APP_ENV": "local", "SERVICE_KEYS": lines[1]}[variable]
		})
		if err != nil {
			t.Fatalf("%s: %v", lines[1], err)
		}
		if s := cfg.API.Services; len(s) != 1 || s[0].Name != name || s[0].Hash != hash {
			t.Errorf("SERVICE_KEYS=%s has %v", lines[1], s)
		}
		if strings.Contains(errs.String(), lines[0]) || !strings.Contains(errs.String(), "SERVICE_KEYS") {
			t.Errorf("it says %q", errs.String())
		}
	}
}

func TestRun_invalid(t *testing.T) {
	for _, args := range [][]string{
		nil, {""}, {"orders", "more"}, {"Orders"}, {"-orders"}, {"a b"}, {"a,b"}, {"a=b"}, {"ordérs"}, {strings.Repeat("a", 33)}, {"orders\n"},
	} {
		var out, errs bytes.Buffer
		if err := run(args, &out, &errs); err == nil || out.Len() > 0 {
			t.Errorf("%q: %v, printed %q", args, err, out.String())
		}
	}
}

func TestRun_help(t *testing.T) {
	var out, errs bytes.Buffer
	if err := run([]string{"-help"}, &out, &errs); err != nil || out.Len() > 0 || errs.String() != usage {
		t.Errorf("%v, printed %q and %q", err, out.String(), errs.String())
	}
	if err := run([]string{"orders"}, broken{}, &errs); !errors.Is(err, errBroken) {
		t.Errorf("a key that could not be printed: %v", err)
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
