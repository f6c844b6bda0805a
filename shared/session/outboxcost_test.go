package session_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// publishedByDefault are all types of events but refreshes, as EVENT_TYPES has it.
func publishedByDefault(o *session.Options) {
	for _, of := range allEventTypes() {
		if of != session.EventRefresh {
			o.Outbox.Types = append(o.Outbox.Types, of)
		}
	}
}

// customers are accounts whose sessions begin, go on and end together.
type customers struct {
	*world
	first  int
	logins []session.Login
	grants []session.Grant
}

// steps are what of them is measured, in this order.
var steps = []struct {
	name string
	one  func(c *customers, i int) error
}{
	{"login", func(c *customers, i int) (err error) {
		if err = c.SpendNonce(ctx, c.logins[i].Nonce, terms); err == nil {
			c.grants[i], err = c.Create(ctx, c.logins[i])
		}
		return err
	}},
	{"validation", func(c *customers, i int) error {
		_, err := c.Validate(ctx, c.grants[i].AccessToken, laptop)
		return err
	}},
	{"refresh", func(c *customers, i int) error {
		_, err := c.Refresh(ctx, c.grants[i].RefreshToken, laptop)
		return err
	}},
	{"logout", func(c *customers, i int) error {
		_, err := c.Revoke(ctx, c.grants[i].Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		return err
	}},
}

// come begins anew, with nonces that are not spent.
func (c *customers) come(n int) {
	c.logins, c.grants = nil, make([]session.Grant, n)
	for range n {
		c.first++
		nonce, _, err := c.IssueNonce(ctx, terms)
		must(c.t, err)
		c.logins = append(c.logins, session.Login{Nonce: nonce, Account: token.KeyAccount(person(c.first)), ChainID: 1, Client: laptop})
	}
}

// published empties the outboxes, as a publisher does.
func (c *customers) published() {
	for partition, all := range c.outboxes() {
		_, _, err := c.Published(ctx, partition, all, nil)
		must(c.t, err)
	}
}

// executed is how long the server took to execute scripts, and the commands that hints are, in microseconds.
func (c *customers) executed() (took float64) {
	info, err := c.rdb.Info(ctx, "commandstats").Result()
	must(c.t, err)
	for _, found := range executedFor.FindAllStringSubmatch(info, -1) {
		usec, err := strconv.ParseFloat(found[1], 64)
		must(c.t, err)
		took += usec
	}
	return took
}

var executedFor = regexp.MustCompile(`(?m)^cmdstat_(?:evalsha|sadd):calls=\d+,usec=(\d+)`)

// BenchmarkOutbox is what events cost in Redis, the hint's trip included: of a login, a validation, a refresh and a logout with
// events and without, which take turns. One ratio is of all the CPU time of the server, its system calls included, which a trip
// of its own makes the most of; the other is of what its commands took. Each is the median of the rounds: take some, as by
// -cpu 1 -benchtime 20x, on a quiet machine.
func BenchmarkOutbox(b *testing.B) {
	own := redistest.ServerWith(b)
	limits := func(o *session.Options) { o.NonceRate, o.LoginRate, o.RefreshRate = 1e6, 1e6, 1e6 }
	off := &customers{world: newWorld(b, own.Under(b, "k1"), limits)}
	on := &customers{world: newWorld(b, own.Under(b, "k2"), limits, publishedByDefault)}
	cpu := (&population{server: own, world: off.world}).cpu
	r := rounds{}
	for turn := 0; b.Loop(); turn++ {
		off.come(500)
		on.come(500)
		for _, s := range steps {
			spent, took := map[*customers]float64{}, map[*customers]float64{}
			for k := range 2 {
				c := []*customers{off, on}[(k+turn)%2]
				before, executed := cpu(), c.executed()
				together(8, func(first int) {
					for i := first; i < len(c.logins); i += 8 {
						must(b, s.one(c, i))
					}
				})
				took[c], spent[c] = c.executed()-executed, micros(cpu()-before)
				c.clock.add(time.Minute)
			}
			on.published()
			r.add(s.name+"-µs", spent[off]/500)
			r.add(s.name+"-cpu-ratio", spent[on]/spent[off])
			if took[off] > 0 {
				r.add(s.name+"-executed-µs", took[off]/500)
				r.add(s.name+"-executed-ratio", took[on]/took[off])
			}
		}
	}
	r.report(b)
}
