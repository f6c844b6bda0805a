package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey/shared/config"
	"latchkey/shared/events"
	"latchkey/shared/session"
)

const (
	busARN         = "arn:aws:events:eu-central-1:123456789012:event-bus/latchkey"
	hookSecret     = "whsec_dko4cjNUcVh6MExtWXc1S2RCOXNIZk4y"
	nextHookSecret = "whsec_UTR4OVdiWjF0Ums2Vm5NajBTZzhGeUNv"
	hookURL        = "EVENTS=webhook EVENT_WEBHOOK_URL=https://hooks.example.com"
)

func toWebhook(changes ...string) map[string]string {
	return changed(deployed("EVENTS", "webhook", "EVENT_WEBHOOK_URL", "https://hooks.example.com/latchkey?token=t0ken-of-the-url",
		"EVENT_WEBHOOK_SECRET", hookSecret), changes)
}

// Off, the scripts write no event, whatever else is set.
func TestLoad_eventsOff(t *testing.T) {
	for _, env := range []map[string]string{deployed(), local(), deployed("EVENT_TYPES", "session.ended", "EVENT_DETAILS", "false")} {
		if cfg := mustLoad(t, env); cfg.Events.Sink != "" || cfg.Session.Outbox.Types != nil {
			t.Errorf("%+v, %v", cfg.Events, cfg.Session.Outbox)
		}
	}
}

func TestLoad_events(t *testing.T) {
	var all []session.EventType
	for _, of := range events.Types() {
		if of != session.EventRefresh {
			all = append(all, of)
		}
	}
	slices.Sort(all)
	cfg := mustLoad(t, deployed("EVENTS", "eventbridge", "EVENT_BUS", busARN))
	if e := cfg.Events; e.Sink != config.ToEventBridge || e.Bus != busARN || !e.Details || !slices.Equal(cfg.Session.Outbox.Types, all) || len(all) != 11 {
		t.Errorf("%+v, %v", e, cfg.Session.Outbox)
	}
	cfg = mustLoad(t, toWebhook("EVENT_TYPES", " session.refreshed , account.blocked", "EVENT_DETAILS", "false"))
	if e := cfg.Events; e.Sink != config.ToWebhook || e.Details || string(e.WebhookSecret) != hookSecret ||
		!slices.Equal(cfg.Session.Outbox.Types, []session.EventType{session.EventRefresh, session.EventBlocked}) {
		t.Errorf("%+v, %v", e, cfg.Session.Outbox)
	}
	for _, env := range []map[string]string{
		deployed("EVENTS", "log"), local("EVENTS", "log"),
		deployed("EVENTS", "eventbridge", "EVENT_BUS", "arn:aws-cn:events:cn-north-1:123456789012:event-bus/a/b.c_d-1"),
		toWebhook("EVENT_WEBHOOK_SECRET", hookSecret+","+nextHookSecret),
		toWebhook("EVENT_WEBHOOK_SECRET", "", "EVENT_WEBHOOK_SECRET_ARN", keysARN),
		changed(local(), []string{"EVENTS", "webhook", "EVENT_WEBHOOK_URL", "http://127.0.0.1:8080", "EVENT_WEBHOOK_SECRET", hookSecret}),
	} {
		if cfg := mustLoad(t, env); !slices.Equal(cfg.Session.Outbox.Types, all) {
			t.Errorf("%v: %v", env, cfg.Session.Outbox)
		}
	}
}

// Each line is wrong in one way. The text says what to do, and repeats neither a URL nor a secret.
func TestLoad_eventProblems(t *testing.T) {
	const shown = "t0ken-of-the-url"
	twice := "session.ended,session.ended"
	for _, tt := range []struct {
		env  map[string]string
		says string
	}{
		{deployed("EVENTS", "kafka"), "EVENTS: \"kafka\" is not a sink; set eventbridge, webhook or log"},
		{deployed("EVENTS", "EventBridge", "EVENT_BUS", ""), "EVENTS: \"EventBridge\" is not a sink"},
		{deployed("EVENTS", "eventbridge"), "EVENT_BUS: is needed with EVENTS=eventbridge; set it"},
		{deployed("EVENTS", "eventbridge", "EVENT_BUS", "latchkey"), "EVENT_BUS: \"latchkey\" is not the ARN of a bus; write it as arn:aws:events:"},
		{deployed("EVENTS", "eventbridge", "EVENT_BUS", keysARN), "is not the ARN of a bus"},
		{deployed("EVENTS", "log", "EVENT_BUS", busARN), "EVENT_BUS: has no effect without EVENTS=eventbridge; set that or leave EVENT_BUS out"},
		{deployed("EVENT_BUS", busARN), "EVENT_BUS: has no effect"},
		{deployed("EVENT_TYPES", "login"), "EVENT_TYPES: \"login\" is not a type of events; docs/events.md lists them"},
		{deployed("EVENT_TYPES", "session.ended,"), "EVENT_TYPES: \"\" is not a type"},
		{deployed("EVENT_TYPES", twice), "EVENT_TYPES: \"session.ended\" is listed twice; remove one"},
		{deployed("EVENT_DETAILS", "no"), "EVENT_DETAILS: is \"no\"; set it to true or false"},
		{toWebhook("EVENT_WEBHOOK_URL", ""), "EVENT_WEBHOOK_URL: is needed with EVENTS=webhook; set it"},
		{toWebhook("EVENT_WEBHOOK_URL", "hooks.example.com/"+shown), "EVENT_WEBHOOK_URL: is not a URL; write it as https://host/path"},
		{toWebhook("EVENT_WEBHOOK_URL", "https:///"+shown), "is not a URL"},
		{toWebhook("EVENT_WEBHOOK_URL", "https://:443/"+shown), "is not a URL"},
		{toWebhook("EVENT_WEBHOOK_URL", "https://a.example/%zz"+shown), "is not a URL"},
		{toWebhook("EVENT_WEBHOOK_URL", "https://u:"+shown+"@a.example/"), "without a user"},
		{toWebhook("EVENT_WEBHOOK_URL", "https://a.example/#"+shown), "a fragment"},
		{toWebhook("EVENT_WEBHOOK_URL", "http://a.example/"+shown), "EVENT_WEBHOOK_URL: must begin with https://"},
		{toWebhook("EVENT_WEBHOOK_URL", "ftp://a.example/"+shown), "must begin with https://"},
		{toWebhook("EVENT_WEBHOOK_SECRET", ""), "EVENT_WEBHOOK_SECRET: is needed with EVENTS=webhook"},
		{toWebhook("EVENT_WEBHOOK_SECRET", shown), "EVENT_WEBHOOK_SECRET: is not whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl"},
		{toWebhook("EVENT_WEBHOOK_SECRET", "whsec_"+shown), "EVENT_WEBHOOK_SECRET: is not whsec_"},
		{toWebhook("EVENT_WEBHOOK_SECRET", hookSecret+","), "EVENT_WEBHOOK_SECRET: is not whsec_"},
		{toWebhook("EVENT_WEBHOOK_SECRET", hookSecret+","+hookSecret), "EVENT_WEBHOOK_SECRET: has the same secret twice"},
		{toWebhook("EVENT_WEBHOOK_SECRET", hookSecret+","+nextHookSecret+","+hookSecret), "EVENT_WEBHOOK_SECRET: has 3 secrets"},
		{toWebhook("EVENT_WEBHOOK_SECRET_ARN", keysARN), "EVENT_WEBHOOK_SECRET_ARN: is set together with EVENT_WEBHOOK_SECRET; set only one"},
		{toWebhook("EVENT_WEBHOOK_SECRET", "", "EVENT_WEBHOOK_SECRET_ARN", shown), "EVENT_WEBHOOK_SECRET_ARN: is not the ARN"},
		{toWebhook("EVENTS", ""), "EVENT_WEBHOOK_URL: has no effect without EVENTS=webhook; set that"},
		{toWebhook("EVENTS", "", "EVENT_WEBHOOK_URL", ""), "EVENT_WEBHOOK_SECRET: has no effect without EVENTS=webhook; set that"},
	} {
		cfg, err := config.LoadPublisher(func(name string) string { return tt.env[name] })
		if err == nil {
			t.Errorf("%q: taken for %+v", tt.says, cfg.Events)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, tt.says) || strings.Contains(text, "\n") || !strings.HasPrefix(text, "EVENT") {
			t.Errorf("%q does not say %q", text, tt.says)
		}
		for _, hidden := range []string{shown, hookSecret[6:], nextHookSecret[6:]} {
			if strings.Contains(text, hidden) {
				t.Errorf("%q shows %s", text, hidden)
			}
		}
	}
}

// No way to show a configuration shows the secret or the URL, which may hold one.
func TestLoad_eventSecretsAreNotShown(t *testing.T) {
	cfg := mustLoad(t, toWebhook())
	shown := fmt.Sprintf("%v %+v %#v %s", cfg.Events, cfg.Events, cfg.Events, cfg.Events.WebhookURL)
	for _, hidden := range []string{hookSecret[6:], "t0ken", "hooks.example"} {
		if strings.Contains(shown, hidden) {
			t.Errorf("%q shows in %s", hidden, shown)
		}
	}
}
