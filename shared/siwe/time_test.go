package siwe_test

import (
	"strings"
	"testing"
	"time"

	"latchkey/shared/siwe"
)

func TestParse_times(t *testing.T) {
	at := func(nanos int) time.Time { return time.Date(2026, 3, 1, 12, 0, 0, nanos, time.UTC) }
	for text, want := range map[string]time.Time{
		"2026-03-01T12:00:00Z":                                  at(0),
		"2026-03-01T12:00:00.0Z":                                at(0),
		"2026-03-01T12:00:00.5Z":                                at(5e8),
		"2026-03-01T12:00:00.25Z":                               at(25e7),
		"2026-03-01T12:00:00.123Z":                              at(123e6),
		"2026-03-01T12:00:00.123456Z":                           at(123456e3),
		"2026-03-01T12:00:00.123456789Z":                        at(123456789),
		"2026-03-01T12:00:00.1234567890Z":                       at(123456789),
		"2026-03-01T12:00:00.1234567891Z":                       at(123456790),
		"2026-03-01T11:59:59.9999999999Z":                       at(0),
		"2026-03-01T12:00:00." + strings.Repeat("0", 99) + "1Z": at(1),
		"2026-03-01T12:00:00+00:00":                             at(0),
		"2026-03-01T12:00:00-00:00":                             at(0),
		"2026-03-01T14:30:00+02:30":                             at(0),
		"2026-03-01T03:00:00.000-09:00":                         at(0),
		"2026-03-02T11:59:00+23:59":                             at(0),
		"2024-02-29T00:00:00Z":                                  time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"2000-02-29T23:59:59Z":                                  time.Date(2000, 2, 29, 23, 59, 59, 0, time.UTC),
		"9999-12-31T23:59:59Z":                                  time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"0001-01-01T00:00:00Z":                                  time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		m := parse(t, swap(t, example, "2026-03-01T12:00:00.000Z", text)+"\nExpiration Time: "+text+"\nNot Before: "+text)
		for _, got := range []siwe.Time{m.IssuedAt, *m.ExpirationTime, *m.NotBefore} {
			if got.String() != text || !got.Instant().Equal(want) {
				t.Errorf("%s reads as %s, want %s", got, got.Instant(), want)
			}
		}
	}
}

// Attack case 10, as far as the bytes alone decide.
func TestParse_rejectsOtherTimes(t *testing.T) {
	rejected := []string{
		"", "Z", "now", "1772366400", "2026-03-01", "2026-03-01T12:00Z", "2026-03-01T12:00:00", "2026-03-01T12:00:00.000",
		"2026-03-01t12:00:00Z", "2026-03-01T12:00:00z", "2026-03-01 12:00:00Z", "2026-03-01T12:00:00 Z", "2026-03-01T12:00:00Z ",
		"2026-03-01T12:00:00ZZ", "2026-03-01T12:00:00Z+00:00", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00.", "2026-03-01T12:00:00,5Z",
		"2026-03-01T12:00:00.5.5Z", "2026-03-01T12:00:00.-5Z", "2026-03-01T12:00:00.5eZ", "2026-3-01T12:00:00Z", "2026-03-1T12:00:00Z",
		"2026-03-01T1:00:00Z", "2026-03-01T12:0:00Z", "2026-03-01T12:00:0Z", "26-03-01T12:00:00Z", "99999-03-01T12:00:00Z",
		"+2026-03-01T12:00:00Z", "-026-03-01T12:00:00Z", "2026-00-01T12:00:00Z", "2026-13-01T12:00:00Z", "2026-03-00T12:00:00Z",
		"2026-03-32T12:00:00Z", "2026-04-31T12:00:00Z", "2026-02-29T12:00:00Z", "2026-02-30T12:00:00Z", "2100-02-29T12:00:00Z",
		"2026-03-01T24:00:00Z", "2026-03-01T12:60:00Z", "2026-03-01T12:00:60Z", "2026-06-30T23:59:60Z", "2026-03-01T12:00:61Z",
		"2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+12:60", "2026-03-01T12:00:00+0000", "2026-03-01T12:00:00+00", "2026-03-01T12:00:00+1:00",
		"2026-03-01T12:00:00+001:0", "2026-03-01T12:00:00 00:00", "2026-03-01T12:00:00GMT", "2026-03-01T12:00:00+", "2026-W09-7T12:00:00Z",
		"2026-060T12:00:00Z", "20260301T120000Z", "2026-03-01T12:00:00+00:00Z", "2026-03-01T12:00:0.1Z",
	}
	for _, text := range rejected {
		wantSyntax(t, swap(t, example, "2026-03-01T12:00:00.000Z", text), "issued-at")
		wantSyntax(t, example+"\nExpiration Time: "+text, "expiration-time")
		wantSyntax(t, example+"\nNot Before: "+text, "not-before")
	}
}

func TestNewTime(t *testing.T) {
	zone := time.FixedZone("", -7*60*60)
	got := siwe.NewTime(time.Date(2026, 3, 1, 5, 0, 0, 123999999, zone))
	if got.String() != "2026-03-01T12:00:00.123Z" {
		t.Errorf("text is %q", got)
	}
	if want := time.Date(2026, 3, 1, 12, 0, 0, 123000000, time.UTC); !got.Instant().Equal(want) {
		t.Errorf("instant is %s, not what the text says", got.Instant())
	}
	m := parse(t, swap(t, example, "2026-03-01T12:00:00.000Z", got.String()))
	if m.IssuedAt != got {
		t.Errorf("reads back as %#v, want %#v", m.IssuedAt, got)
	}
}
