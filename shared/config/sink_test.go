package config_test

import (
	"strings"
	"testing"

	"latchkey/shared/config"
)

// The functions that write events down start without what only the publisher needs, and the publisher says what it misses.
func TestLoadPublisher(t *testing.T) {
	const bus, hook = "arn:aws:events:us-east-1:000000000000:event-bus/latchkey", "https://hooks.example.com/latchkey"
	signed := "EVENT_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for name, c := range map[string]struct {
		env   string
		wants []string // the variables that the publisher complains of
	}{
		"off":            {"", []string{"EVENTS"}},
		"log":            {"EVENTS=log", nil},
		"no bus":         {"EVENTS=eventbridge", []string{"EVENT_BUS"}},
		"a bus":          {"EVENTS=eventbridge EVENT_BUS=" + bus, nil},
		"no webhook":     {"EVENTS=webhook", []string{"EVENT_WEBHOOK_URL", "EVENT_WEBHOOK_SECRET"}},
		"no secret":      {"EVENTS=webhook EVENT_WEBHOOK_URL=" + hook, []string{"EVENT_WEBHOOK_SECRET"}},
		"a webhook":      {"EVENTS=webhook EVENT_WEBHOOK_URL=" + hook + " " + signed, nil},
		"one by its ARN": {"EVENTS=webhook EVENT_WEBHOOK_URL=" + hook + " EVENT_WEBHOOK_SECRET_ARN=arn:aws:secretsmanager:us-east-1:000000000000:secret:w", nil},
	} {
		env := deployed()
		for pair := range strings.FieldsSeq(c.env) {
			variable, value, _ := strings.Cut(pair, "=")
			env[variable] = value
		}
		getenv := func(name string) string { return env[name] }
		writer, err := config.Load(getenv)
		if err != nil || (len(writer.Session.Outbox.Types) > 0) != (c.env != "") {
			t.Errorf("%s: a function that writes events down: %v", name, err)
		}
		var named []string
		if _, err = config.LoadPublisher(getenv); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				variable, what, _ := strings.Cut(line, ": ")
				if named = append(named, variable); !strings.Contains(what, "set") {
					t.Errorf("%s: %q does not say what to do", name, line)
				}
			}
		}
		if strings.Join(named, " ") != strings.Join(c.wants, " ") {
			t.Errorf("%s: the publisher complains of %q, want %q", name, named, c.wants)
		}
	}
}
