// Package awstest replaces what a function finds around it on AWS: a clock,
// credentials, and Secrets Manager. Secrets Manager is a small fake that counts
// calls and fails on request, or moto's server.
package awstest

import (
	"sync/atomic"
	"testing"
	"time"

	"latchkey/shared/seal"
)

// Secrets of keys, drawn once for tests. They open nothing.
const (
	FirstSecret  = "pR7vQ2xkT9mWc4ZsJ8bYh3NfL6dGa5EuX1oViKtM0qCwSzBnHjPyDrAgUeFl2I7O"
	SecondSecret = "Zk3Wq8LxN5vTb1RmC7yHs9PdJ4gFa6UeQ2oXiVtK0nEwSzBhGjMyDrAcUlYp8I5O"
)

// OneKey and TwoKeys are documents of keys. The second key becomes active an
// hour after [Start].
const (
	OneKey  = `{"lookup":"k1","k1":"` + FirstSecret + `"}`
	TwoKeys = `{"lookup":"k1","k1":"` + FirstSecret + `","k2":{"secret":"` + SecondSecret +
		`","activeFrom":"2026-11-25T10:00:00Z"}}`
)

// Start is when tests begin: before the second key of [TwoKeys] is active.
var Start = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// Clock is a clock that stands still until it is moved. It is safe for
// concurrent use.
type Clock struct{ at atomic.Pointer[time.Time] }

// NewClock returns a clock that shows that time.
func NewClock(at time.Time) *Clock {
	c := new(Clock)
	c.at.Store(&at)
	return c
}

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time { return *c.at.Load() }

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	at := c.Now().Add(d)
	c.at.Store(&at)
}

// Role returns the variables of a function's role, with that endpoint of
// Secrets Manager.
func Role(endpoint string) func(string) string {
	variables := map[string]string{
		"AWS_REGION":                       "eu-central-1",
		"AWS_ACCESS_KEY_ID":                "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY":            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		"AWS_SESSION_TOKEN":                "session+token/of=the role",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
	}
	return func(name string) string { return variables[name] }
}

// KeyIDs returns the ids of a document's first and last key.
func KeyIDs(t testing.TB, document string) (first, last seal.KeyID) {
	t.Helper()
	d, err := seal.ParseDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := d.Ring("x")
	if err != nil {
		t.Fatal(err)
	}
	return ring.Current(Start), ring.Current(Start.Add(100 * 24 * time.Hour))
}
