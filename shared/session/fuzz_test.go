package session_test

import (
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Whatever stands in Redis, decoding it never panics, and what decodes is written out as the very same bytes.
func FuzzDecodeStored(f *testing.F) {
	for _, honest := range honestRecords(f) {
		f.Add(honest)
		f.Add(honest[:len(honest)-1])
		f.Add(honest + "x")
	}
	f.Add("")
	f.Add("\x01" + strings.Repeat("\xff", 40))
	f.Add("\x01\x01" + strings.Repeat("\x00", 25))
	f.Add("\x01\x01" + strings.Repeat("\x00", 20) + "\x02ip\x00\x00\x00\x00") // no address has two bytes
	f.Add("\x01\x01" + strings.Repeat("\x00", 20) + "\x00\x02ip\x00\x00\x00")
	f.Fuzz(func(t *testing.T, raw string) {
		for name, again := range map[string]func(string) (string, error){
			"record": session.AgainRecord, "entry": session.AgainEntry, "payload": session.AgainPayload,
		} {
			if got, err := again(raw); err == nil && got != raw {
				t.Errorf("the %s %q reads as %q", name, raw, got)
			}
		}
	})
}

// honestRecords are records with a live and an ended session, without and with roles, entries and payloads. Each decodes
// as what it is.
func honestRecords(f *testing.F) []string {
	w := newWorld(f, redistest.Embedded(f))
	over, g := w.signIn(alice, laptop), w.signIn(alice, phone)
	_, err := w.Revoke(ctx, over.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
	must(f, err)
	record := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
	_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin", "auditor"}, session.Change{})
	must(f, err)
	withRoles := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
	nowhere := w.signIn(bob, session.Client{Transport: session.Bearer})
	entry := record[session.HeadSize : session.HeadSize+session.EntrySize]
	distinct := make([]byte, session.EntrySize) // a field that is read at another's place differs
	for i := range distinct {
		distinct[i] = byte(255 - i)
	}
	honest := []string{record, withRoles, entry, string(distinct)}
	for _, g := range []session.Grant{g, nowhere} {
		payload, err := w.Payload(ctx, g.Session.ID)
		must(f, err)
		honest = append(honest, string(payload))
	}
	for i, again := range []func(string) (string, error){
		session.AgainRecord, session.AgainRecord, session.AgainEntry, session.AgainEntry, session.AgainPayload, session.AgainPayload,
	} {
		_, err := again(honest[i])
		must(f, err)
	}
	return honest
}
