package siwe

import (
	"strings"
	"time"
)

// The layouts of RFC 3339 that Parse reads and NewTime writes.
const (
	toSeconds    = len("2006-01-02T15:04:05")
	offsetLayout = "15:04"
	ownLayout    = "2006-01-02T15:04:05.000Z"
)

// Time is an instant together with the text it was received as. The zero Time
// renders as "".
type Time struct {
	text    string
	instant time.Time
}

// NewTime returns t in UTC with milliseconds, as JavaScript writes it. The year
// must have four digits.
func NewTime(t time.Time) Time {
	t = t.UTC().Truncate(time.Millisecond)
	return Time{text: t.Format(ownLayout), instant: t}
}

// String returns the text as received.
func (t Time) String() string { return t.text }

// Instant returns the point in time, in UTC. A fraction finer than a nanosecond
// is rounded up, so that "now >= t" and "now < t" give the same result as with
// the exact value.
func (t Time) Instant() time.Time { return t.instant }

// parseTime reads the date-time of RFC 3339, section 5.6. It settles what the
// standard leaves open: "T" and "Z" are in upper case only, and there is no
// leap second, because no clock here knows which ones existed.
func parseTime(text string) (Time, fault) {
	if at := refusedInTime(text); at != none {
		return Time{}, refusal(notATime, at)
	}
	instant, exists := readExactly(time.RFC3339, text[:toSeconds]+"Z")
	fraction, zone := cutFraction(text[toSeconds:])
	offset, ok := readOffset(zone)
	if !exists || !ok {
		return Time{}, fault{reason: notATime}
	}
	return Time{text: text, instant: instant.Add(fraction - offset)}, fault{}
}

const notATime = "must be an RFC 3339 date-time that exists in the calendar"

// refusedInTime is about the form of a time, not about the calendar.
func refusedInTime(text string) int {
	if at := refusedInLayout(text[:min(len(text), toSeconds)], "0000-00-00T00:00:00"); at != none {
		return at
	}
	_, zone := cutFraction(text[toSeconds:])
	layout := "Z"
	if zone != "" && (zone[0] == '+' || zone[0] == '-') {
		layout = zone[:1] + "00:00"
	}
	return shifted(refusedInLayout(zone, layout), len(text)-len(zone))
}

// refusedInLayout is about text of exactly that layout, in which 0 stands for a
// digit.
func refusedInLayout(text, layout string) int {
	for i := range len(text) {
		if i == len(layout) || layout[i] == '0' && !isDigit(text[i]) ||
			layout[i] != '0' && layout[i] != text[i] {
			return i
		}
	}
	if len(text) < len(layout) {
		return len(text)
	}
	return none
}

// readExactly is [time.Parse] without its tolerance. It refuses text that it
// would write differently, such as a missing digit or a fraction that the
// layout does not have.
func readExactly(layout, text string) (time.Time, bool) {
	t, err := time.Parse(layout, text)
	return t, err == nil && t.Format(layout) == text
}

// cutFraction reads [ "." 1*DIGIT ] and returns what follows. A point without
// digits is not a fraction, and follows.
func cutFraction(text string) (fraction time.Duration, rest string) {
	digits, found := strings.CutPrefix(text, ".")
	rest = strings.TrimLeft(digits, "0123456789")
	digits = digits[:len(digits)-len(rest)]
	if !found || digits == "" {
		return 0, text
	}
	for i, unit := 0, 100*time.Millisecond; i < len(digits) && unit > 0; i, unit = i+1, unit/10 {
		fraction += unit * time.Duration(digits[i]-'0')
	}
	if len(digits) > 9 && strings.Trim(digits[9:], "0") != "" {
		fraction++
	}
	return fraction, rest
}

// readOffset reads "Z" or ( "+" / "-" ) hour ":" minute, and returns how far
// the zone is ahead of UTC.
func readOffset(zone string) (ahead time.Duration, ok bool) {
	if zone == "Z" {
		return 0, true
	}
	if zone == "" || zone[0] != '+' && zone[0] != '-' {
		return 0, false
	}
	clock, ok := readExactly(offsetLayout, zone[1:])
	ahead = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
	if zone[0] == '-' {
		ahead = -ahead
	}
	return ahead, ok
}
