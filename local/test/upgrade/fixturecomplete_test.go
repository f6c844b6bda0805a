package upgrade_test

import (
	"fmt"
	"strings"
	"testing"
)

// stored are the kinds of values that 0.1.0 stores, in the words of this file.
// Two are missing. The index segments x1 to x7 are used if more than 128
// accounts of a partition have a session, and are like x0. A reply in the reply
// cache is read only by the call that wrote it. Event 10, an erasure, is in no
// activity.
var stored = []string{
	"key a", "key admins", "key c", "key d", "key f", "key l", "key n", "key p", "key s",
	"key sum", "key u", "key x0",
	"nonce i", "nonce s", "rate limit of an account", "rate limit of a network",
	"account flag 1", "account flag 2", "roles",
	"session flag 1", "session flag 2", "session generation 0", "session generation 1",
	"session transport 1", "session transport 2",
	"device class 0", "device class 1", "device class 2", "device class 3",
	"ended 1", "ended 2", "ended 3", "ended 4", "ended 5", "ended 6", "ended 7", "ended 8",
	"ended 9", "ended 10", "ended 11",
	"event 1", "event 2", "event 3", "event 4", "event 5", "event 6", "event 7", "event 8",
	"event 9", "event 11",
}

// testComplete checks that a fixture has every kind of value.
func testComplete(t *testing.T, commands []command) {
	seen := map[string]bool{}
	for _, c := range commands {
		if c[0] != "PEXPIRE" {
			for _, kind := range kindsIn(c) {
				seen[kind] = true
			}
		}
	}
	for _, kind := range stored {
		if !seen[kind] {
			t.Errorf("the fixture has no %s", kind)
		}
	}
}

// kindsIn returns the kinds of what one command of a dump stores.
func kindsIn(c command) (kinds []string) {
	key, values := c[1], c[2:]
	m := kindOf.FindStringSubmatch(key)
	if m == nil { // it has no hash tag, and failed logins have the hour in their key
		name := strings.Split(key, ":")[1]
		if strings.HasPrefix(name, "f") {
			name = "f"
		}
		return []string{"key " + name}
	}
	tag, kind := m[1], m[2]
	switch kind {
	case "x":
		return []string{"key " + key[strings.LastIndex(key, "x"):]}
	case "u":
		kinds = kindsOfRecord(values[0])
	case "a":
		for _, event := range values {
			kinds = append(kinds, fmt.Sprint("event ", event[0]))
		}
	case "n":
		kinds = []string{"nonce " + values[0][:1]}
	case "l": // a partition has a tag of three characters, and a nonce one of two
		kinds = []string{"rate limit of " + [...]string{2: "a network", 3: "an account"}[len(tag)]}
	}
	return append(kinds, "key "+kind)
}

// kindsOfRecord returns the kinds of the parts of a record of format 1. The
// offsets are those of 0.1.0; see formats.
func kindsOfRecord(raw string) (kinds []string) {
	add := func(kind string, n byte) { kinds = append(kinds, fmt.Sprint(kind, " ", n)) }
	for _, flag := range []byte{1, 2} {
		if raw[1]&flag != 0 {
			add("account flag", flag)
		}
	}
	roles, live, ended := int(raw[31]), int(raw[32]), int(raw[33])
	if roles > 0 {
		kinds = append(kinds, "roles")
	}
	rest := raw[34+roles:]
	for range live {
		add("session generation", rest[43])
		for _, flag := range []byte{1, 2} {
			if rest[174]&flag != 0 {
				add("session flag", flag)
			}
		}
		add("session transport", rest[183])
		add("device class", rest[184])
		rest = rest[185:]
	}
	for range ended {
		add("ended", rest[16])
		rest = rest[35:]
	}
	return kinds
}
