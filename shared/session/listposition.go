package session

import (
	"bytes"
	"encoding/base64"
	"slices"

	"latchkey/shared/token"
)

// position is where a page of a list begins: a partition's registry or one of
// its index segments, and the account after which it goes on there. It is not
// secret: whoever gets it may read the accounts.
type position struct {
	indexed            bool
	partition, segment int
	after              token.UserID // zero: from the start
}

// segments is how many positions a partition has.
func (p position) segments() int {
	if p.indexed {
		return indexSegments
	}
	return 1
}

// next returns the position after this one.
func (p position) next() position {
	n := p.partition*p.segments() + p.segment + 1
	return position{indexed: p.indexed, partition: n / p.segments(), segment: n % p.segments()}
}

// isEnd reports whether there is nothing more.
func (p position) isEnd() bool { return p.partition >= partitions }

// following returns up to n positions: this one, and those after it.
func (p position) following(n int) (all []position) {
	for ; len(all) < n && !p.isEnd(); p = p.next() {
		all = append(all, p)
	}
	return all
}

// start returns where to begin in a sorted set, as ZRANGE BYLEX takes it.
func (p position) start() string {
	if p.after == (token.UserID{}) {
		return "-"
	}
	return "(" + string(p.after[:])
}

// behind returns the members behind the account after which the position
// begins, sorted. It leaves out members that are not user ids.
func (p position) behind(members []string) []token.UserID {
	return slices.DeleteFunc(sortUsers(members), func(u token.UserID) bool {
		return p.after != (token.UserID{}) && bytes.Compare(u[:], p.after[:]) <= 0
	})
}

// A cursor is base64url of: 1 if it is of the index, else 0 | partition 2 |
// segment 1 | user id 16, with the size of each field in bytes.
const cursorSize = 1 + 2 + 1 + 16

// cursor returns a position as text, or "" if there is nothing more.
func (p position) cursor() string {
	if p.isEnd() {
		return ""
	}
	raw := []byte{byte(bit(p.indexed)), byte(p.partition >> 8), byte(p.partition), byte(p.segment)}
	return base64.RawURLEncoding.EncodeToString(append(raw, p.after[:]...))
}

// parsePosition reads a cursor of a list that is found in the index, or not. It
// reports whether it is one.
func parsePosition(text string, indexed bool) (position, bool) {
	raw, ok := token.DecodeBase64URL(text, cursorSize)
	if !ok || raw[0] != byte(bit(indexed)) {
		return position{}, false
	}
	p := position{
		indexed: indexed, partition: int(raw[1])<<8 | int(raw[2]), segment: int(raw[3]),
		after: token.UserID(raw[4:]),
	}
	foreign := p.after != (token.UserID{}) && partitionOf(p.after) != p.partition
	return p, !p.isEnd() && p.segment < p.segments() && !foreign
}
