package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"latchkey/shared/events"
	"latchkey/shared/lazyregexp"
	"latchkey/shared/session"
)

// Events says whether and where events are published; see package events.
type Events struct {
	// Sink is where they go. It is empty if none are published.
	Sink EventSink
	// Bus is the ARN of a bus of EventBridge.
	Bus string
	// WebhookURL and WebhookSecret are of a webhook. The URL may hold a secret.
	WebhookURL, WebhookSecret Secret
	// WebhookSecretARN names the secret of Secrets Manager that holds
	// WebhookSecret. If it is set, WebhookSecret is empty.
	WebhookSecretARN string
	// Details has messages tell the device and the address.
	Details bool
	// Types are the types that EVENT_TYPES lists.
	Types []session.EventType
}

// EventSink is where events go.
type EventSink string

// The sinks.
const (
	ToEventBridge EventSink = "eventbridge"
	ToWebhook     EventSink = "webhook"
	ToLog         EventSink = "log"
)

var busARN = lazyregexp.New(`^arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9._/-]{1,256}$`)

func setEvents(c *Config, value string) error {
	sinks := []EventSink{"", ToEventBridge, ToWebhook, ToLog}
	if !slices.Contains(sinks, EventSink(value)) {
		return quote(value, "is not a sink; set eventbridge, webhook or log, or leave it out")
	}
	c.Events.Sink = EventSink(value)
	return nil
}

func setEventBus(c *Config, value string) error {
	if value == "" {
		return nil
	}
	c.Events.Bus = value
	if !busARN().MatchString(value) {
		return quote(value, "is not the ARN of a bus;"+
			" write it as arn:aws:events:<region>:<account>:event-bus/<name>")
	}
	return nil
}

// defaultEventTypes are all types but refreshes, which are many and change
// nothing that others see.
func defaultEventTypes() string {
	var names []string
	for name, of := range events.Types() {
		if of != session.EventRefresh {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func setEventTypes(c *Config, value string) error {
	all := events.Types()
	for _, name := range list(value) {
		of, ok := all[events.Type(name)]
		switch {
		case !ok:
			return quote(name, "is not a type of events; docs/events.md lists them")
		case slices.Contains(c.Events.Types, of):
			return quote(name, "is listed twice; remove one")
		}
		c.Events.Types = append(c.Events.Types, of)
	}
	slices.Sort(c.Events.Types)
	return nil
}

// setEventWebhook reads a URL without repeating it in the error: it may hold a
// secret.
func setEventWebhook(c *Config, value string) error {
	if value == "" {
		return nil
	}
	c.Events.WebhookURL = Secret(value)
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "" || u.User != nil:
		return errors.New("is not a URL; write it as https://host/path, without a user and a fragment")
	case u.Scheme == "https", u.Scheme == "http" && c.Local:
		return nil
	}
	return errors.New("must begin with https://, because messages name accounts; only a local process may use http")
}

func setEventWebhookSecret(c *Config, value string) error {
	if value == "" {
		return nil
	}
	c.Events.WebhookSecret = Secret(value)
	if err := events.CheckWebhookSecret(value); err != nil {
		return fmt.Errorf("%w; make one with: echo whsec_$(openssl rand -base64 32)", err)
	}
	return nil
}

// contradictions checks that the values of events fit together. What only the
// publisher needs, [LoadPublisher] asks for: the other functions only write
// events down, and have neither the webhook's URL nor its secret.
func (e Events) contradictions(check func(broken bool, problem string)) {
	check(e.Sink != ToEventBridge && e.Bus != "",
		"EVENT_BUS: has no effect without EVENTS=eventbridge; set that or leave EVENT_BUS out")
	check(e.Sink != ToWebhook && e.WebhookURL != "",
		"EVENT_WEBHOOK_URL: has no effect without EVENTS=webhook; set that or leave EVENT_WEBHOOK_URL out")
	check(e.Sink != ToWebhook && e.WebhookURL == "" && (e.WebhookSecret != "" || e.WebhookSecretARN != ""),
		"EVENT_WEBHOOK_SECRET: has no effect without EVENTS=webhook; set that or leave the secret out")
	check(e.WebhookSecret != "" && e.WebhookSecretARN != "",
		"EVENT_WEBHOOK_SECRET_ARN: is set together with EVENT_WEBHOOK_SECRET; set only one of them")
}

// LoadPublisher is [Load] for the function that publishes events. It also
// requires what that needs to reach the sink.
func LoadPublisher(getenv func(string) string) (Config, error) {
	c, err := Load(getenv)
	if err == nil {
		err = c.Events.CheckSink()
	}
	if err != nil {
		return Config{}, err
	}
	return c, nil
}

// CheckSink returns an error if a publisher cannot reach the sink with these
// values. Its error has one line for each problem.
func (e Events) CheckSink() error {
	var problems []error
	check := func(broken bool, problem string) {
		if broken {
			problems = append(problems, errors.New(problem))
		}
	}
	check(e.Sink == "", "EVENTS: is needed to publish events;"+
		" set eventbridge, webhook or log, the same in all functions")
	check(e.Sink == ToEventBridge && e.Bus == "",
		"EVENT_BUS: is needed with EVENTS=eventbridge; set it to the ARN of the bus")
	check(e.Sink == ToWebhook && e.WebhookURL == "",
		"EVENT_WEBHOOK_URL: is needed with EVENTS=webhook; set it to the URL of the receiver")
	hasSecret := e.WebhookSecret != "" || e.WebhookSecretARN != ""
	check(e.Sink == ToWebhook && !hasSecret,
		"EVENT_WEBHOOK_SECRET: is needed with EVENTS=webhook, so that the receiver can tell who"+
			" sends; set it or EVENT_WEBHOOK_SECRET_ARN")
	return errors.Join(problems...)
}
