package faults_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// paths are ways in which a slot's keys may go from node to node: step by step, which of them have gone.
var paths = map[string][]func(isRecord bool, i int) bool{
	"not yet": {func(bool, int) bool { return false }},
	"record first": {
		func(isRecord bool, _ int) bool { return isRecord },
		func(isRecord bool, i int) bool { return isRecord || i%2 == 0 },
		func(bool, int) bool { return true },
	},
	"record last": {
		func(isRecord bool, _ int) bool { return !isRecord },
		func(bool, int) bool { return true },
	},
}

func isRecord(key string) bool {
	_, name, _ := strings.Cut(key, "}:")
	return strings.HasPrefix(name, "u")
}

// slots are those that an act touches.
func (tr *trial) slots(c *redistest.OwnCluster, nonces int) []int {
	switch tr.name {
	case "nonce", "spend":
		return []int{nonces}
	case "demotion":
		return []int{c.Slot(tr.w.key(tr.user, "")), c.Slot(tr.w.redis.Prefix + ":admins")}
	}
	return []int{c.Slot(tr.w.key(tr.user, ""))}
}

// ends are the primary that has a slot, and another.
func ends(c *redistest.OwnCluster, slot int) (from, to *redistest.Own) {
	from = c.PrimaryOf(slot)
	if from == c.Nodes[0] {
		return from, c.Nodes[1]
	}
	return from, c.Nodes[0]
}

// A slot on its way between two nodes, its keys here and there: each act is answered rightly or is unavailable, and then
// nothing has happened; once the slot has arrived, asking again is answered rightly. Every key that a script touches is
// declared, so Redis refuses before it begins (attack case 63).
func testHalfMoved(t *testing.T, c *redistest.OwnCluster) {
	w := onCluster(t, c, func(o *session.Options) { o.RefreshRate, o.LoginRate = 0, 0 })
	nonce, _, err := w.IssueNonce(ctx, terms)
	must(t, err)
	nonces := c.Slot(w.redis.Prefix + ":{" + nonce[:2] + "}:")
	answered, refused := 0, 0
	for _, a := range acts {
		for name, path := range paths {
			for i := range w.try(a).slots(c, nonces) {
				tr := w.try(a)
				empty := tr.fill()
				tr.travels(c, fmt.Sprintf("%s, slot %d", name, i), tr.slots(c, nonces)[i], path, &answered, &refused)
				empty()
			}
			w.checkComplete()
			w.clear()
		}
	}
	if answered == 0 || refused == 0 {
		t.Errorf("%d answered, %d refused", answered, refused)
	}
	t.Logf("%d answered, %d refused", answered, refused)
}

// fill makes those keys of an account that need not be there: a script that declares one which is not there is refused
// for as long as its slot moves, wherever the others are. It returns what takes away again what is nobody's.
func (tr *trial) fill() (empty func()) {
	w, none := tr.w, string(make([]byte, 16))
	w.t.Helper()
	if raw, err := w.rdb.Get(ctx, w.recordKey(tr.user)).Result(); err == nil {
		rec, err := parseRecord(raw)
		must(w.t, err)
		for _, l := range rec.live {
			must(w.t, w.rdb.HSetNX(ctx, w.key(tr.user, "d"+l.random), none, none+none).Err())
		}
	}
	for part := range indexParts {
		must(w.t, w.rdb.ZAdd(ctx, w.key(tr.user, fmt.Sprint("x", part)), redis.Z{Score: 1e15, Member: none}).Err())
	}
	return func() {
		for part := range indexParts {
			must(w.t, w.rdb.ZRem(ctx, w.key(tr.user, fmt.Sprint("x", part)), none).Err())
		}
	}
}

// travels moves a slot along a path and asks for the act at each step, until it is answered.
func (tr *trial) travels(c *redistest.OwnCluster, what string, slot int, path []func(bool, int) bool, answered, refused *int) {
	w := tr.w
	w.t.Helper()
	before := w.dump("")
	from, to := ends(c, slot)
	m := c.Migrate(slot, from, to)
	for step, moved := range path {
		for i, key := range m.Keys(1000) {
			if moved(isRecord(key), i) {
				m.Move(key)
			}
		}
		got, err := tr.ask()
		if err == nil {
			*answered++
			m.Complete()
			if step > 0 && tr.loose {
				tr.settled(what, true)
			} else {
				tr.right(what, got, nil)
			}
			return
		}
		*refused++
		wants(w.t, fmt.Sprintf("%s, %s, step %d", tr.name, what, step), err, session.ErrUnavailable)
	}
	m.Complete()
	if !tr.loose && !maps.Equal(but(before, "admins"), but(w.dump(""), "admins")) {
		w.t.Errorf("%s, %s: refused, and changed something", tr.name, what)
	}
	tr.settled(what, tr.loose)
}

// but is a dump without a key. The list of admins is changed before the record is: what is cut off in between refuses too
// much, and nothing else.
func but(dump map[string]string, name string) map[string]string {
	dump = maps.Clone(dump)
	maps.DeleteFunc(dump, func(key, _ string) bool { return strings.HasSuffix(key, ":"+name) })
	return dump
}

// load is somebody who signs in, uses the session and leaves, again and again, while slots move. Whatever is unavailable is
// asked for until it is answered.
type load struct {
	w       *world
	who     common.Address
	refused *atomic.Int64
}

// until asks until it is answered, and asserts the answer: the first of those given, or one of the others where it was
// asked more than once.
func (l load) until(what string, ask func() (string, error), answers ...string) string {
	l.w.t.Helper()
	for asked := 1; ; asked++ {
		got, err := ask()
		if errors.Is(err, session.ErrUnavailable) && asked < 10000 {
			l.refused.Add(1)
			continue
		}
		right := answers
		if asked == 1 {
			right = answers[:1]
		}
		if err != nil || !slices.Contains(right, got) {
			l.w.t.Errorf("%s: answered %q, %v, want one of %q", what, got, err, right)
		}
		return got
	}
}

func (l load) round() {
	w := l.w
	var nonce string
	var g session.Grant
	l.until("nonce", func() (_ string, err error) { nonce, _, err = w.IssueNonce(ctx, terms); return answer(err) }, "ok")
	if l.until("spend", func() (string, error) { return answer(w.SpendNonce(ctx, nonce, terms)) }, "ok", "spent") != "ok" {
		return // it was spent, and nobody heard: that takes another nonce
	}
	in := session.Login{Nonce: nonce, Account: token.KeyAccount(l.who), ChainID: 1, Client: laptop}
	login := func() (_ string, err error) { g, err = w.Create(ctx, in); return answer(err) }
	if l.until("login", login, "ok", "spent") != "ok" {
		return
	}
	read := func() (string, error) { _, err := w.Validate(ctx, g.AccessToken, laptop); return answer(err) }
	l.until("read", read, "ok")
	l.until("refresh", func() (string, error) {
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		if err == nil {
			g = next
		}
		return answer(err)
	}, "ok")
	l.until("read again", read, "ok")
	l.until("logout", func() (string, error) {
		return overAnswer(w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()}))
	}, "logged_out now", "logged_out")
	l.until("read at last", read, "logged_out")
}

// While slots move under load, everybody is answered rightly or told that it is unavailable, and in the end nothing is half
// done.
func testMovingLoad(t *testing.T, c *redistest.OwnCluster) {
	w := onCluster(t, c)
	var refused atomic.Int64
	var working sync.WaitGroup
	var keys []string
	for range 3 {
		l := load{w: w, who: w.stranger(), refused: &refused}
		keys = append(keys, w.recordKey(w.UserOf(token.KeyAccount(l.who))))
		working.Go(func() {
			for range 50 {
				l.round()
			}
		})
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	defer func() { <-done }() // also where a move ends the test
	moved := 0
	for busy := true; busy; moved++ {
		key := keys[moved%len(keys)]
		slot := c.Slot(key)
		from, to := ends(c, slot)
		m := c.Migrate(slot, from, to)
		for _, one := range m.Keys(100) {
			m.Move(one)
		}
		m.Complete()
		select {
		case <-done:
			busy = false
		default:
		}
	}
	w.checkComplete()
	t.Logf("%d slots moved, %d calls were unavailable", moved, refused.Load())
}
