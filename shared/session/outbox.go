package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// The outbox of a partition is a list of the events that are still to be
// published, newest first. The script that makes a change appends its events in
// the same step: there is no change without its events, and no event without
// its change. A publisher reads them with [Store.Outgoing] and removes what was
// accepted with [Store.Published]. So each event is published at least once.
//
// Readers of Redis can see of an event what they can see in the activity, and
// chain and transport of the session. Accounts, address and device are sealed.

// OutboxOptions say which events are published.
type OutboxOptions struct {
	// Types are the types of events that are published; none if it is empty.
	Types []EventType
}

// Outgoing is an event that is to be published.
type Outgoing struct {
	Event
	// Sequence grows within the account, and within its partition. It has gaps.
	Sequence uint64
	// ChainID and Transport are those of the session, or zero if the event is
	// about the account.
	ChainID   uint64
	Transport Transport

	head string // identifies the event in the outbox
}

const (
	outboxFormat = 1
	// outboxKeep is how long an outbox is kept after a publisher has last removed
	// something from it, or after its first event. If events are switched off
	// nothing stays for good, and neither does the name of an account that was
	// erased.
	outboxKeep = 30 * 24 * time.Hour
	// outboxRefused is how many events that cannot be published a partition
	// keeps.
	outboxRefused = 100

	originSize = 8 + 1
	// outgoingTypes is how many types of events there can be.
	outgoingTypes = 16
	// outgoingPublished is at the place of each type that is published.
	outgoingPublished = '1'
	outboxSize        = 1 + 6 + 16 + eventHeadSize + originSize + 1
)

func (s *Store) publishes() bool { return len(s.opts.Outbox.Types) > 0 }

// outboxKeys returns the last keys of every script that may emit events. It
// returns none if no events are published.
func (s *Store) outboxKeys(partition int) []string {
	if !s.publishes() {
		return nil
	}
	return []string{s.outboxKey(partition), s.outboxStateKey(partition)}
}

// outgoing returns what a script passes to the outbox: which types of events are
// wanted, and what is sealed. It is empty if no events are published.
func (s *Store) outgoing(sealed []byte) []byte {
	if !s.publishes() {
		return []byte{}
	}
	b := bytes.Repeat([]byte{'0'}, outgoingTypes)
	for _, t := range s.opts.Outbox.Types {
		b[t-1] = outgoingPublished
	}
	return append(b, sealed...)
}

// sealOutgoing is outgoing for a transaction. It seals what the events of the
// change have besides their heads, in eight fields, each a length byte and that
// many bytes:
//
//	account | actor's ip | device | user id | account | 1 if roles were set
//	| roles before | roles after
func (s *Store) sealOutgoing(c transaction) ([]byte, error) {
	if !s.publishes() {
		return []byte{}, nil
	}
	var account, actor, set, before, after string
	if c.account != (token.Account{}) {
		account = string(encodeAccount(c.account))
	}
	if c.actor.Account != (token.Account{}) {
		actor = string(encodeAccount(c.actor.Account))
	}
	if c.roles != nil {
		set = "1"
		before, after = strings.Join(c.roles.before, ","), strings.Join(c.roles.after, ",")
	}
	user := ""
	if c.actor.User != (token.UserID{}) {
		user = string(c.actor.User[:])
	}
	var plain []byte
	for _, field := range []string{
		account, string(c.actor.IP.AsSlice()), c.actor.Device, user, actor, set, before, after,
	} {
		field = field[:min(len(field), 255)]
		plain = append(append(plain, byte(len(field))), field...)
	}
	sealed, err := s.keys.Seal(s.keys.Current(c.now), outboxOf(c.user, string(c.idem[:])), plain)
	if err != nil {
		return nil, err
	}
	return s.outgoing(sealed), nil
}

func outboxOf(user token.UserID, idem string) seal.Record {
	return seal.Record{Kind: "outbox", Owner: user[:], Facts: []byte(idem)}
}

// decodeOutgoing decodes an event of an outbox. What is sealed and does not open
// any more, for example because its key was removed from the key ring, is
// missing.
func (s *Store) decodeOutgoing(ctx context.Context, raw string) (Outgoing, error) {
	if len(raw) < outboxSize || raw[0] != outboxFormat {
		return Outgoing{}, ErrDamaged
	}
	o := Outgoing{head: raw[:outboxSize]}
	o.Sequence = binary.BigEndian.Uint64([]byte("\x00\x00" + raw[1:7]))
	user, head, rest := token.UserID([]byte(raw[7:23])), raw[23:23+eventHeadSize], raw[23+eventHeadSize:]
	o.Event = eventOf(user, head)
	o.ChainID = binary.BigEndian.Uint64([]byte(rest[:8]))
	o.Transport = Transport(rest[8])
	asked := rest[9] != 0
	fields, ok := s.openOutgoing(ctx, user, head[7:], raw[outboxSize:])
	if !ok {
		return o, nil
	}
	o.Account, _, _ = decodeAccountOf([]byte(fields[0]))
	if asked {
		o.Actor.IP, _ = netip.AddrFromSlice([]byte(fields[1]))
		o.Actor.Device = fields[2]
		if len(fields[3]) == len(o.Actor.User) {
			o.Actor.User = token.UserID([]byte(fields[3]))
		}
		o.Actor.Account, _, _ = decodeAccountOf([]byte(fields[4]))
	}
	if o.Type == EventRoles && fields[5] != "" {
		o.RolesBefore, o.RolesAfter = splitRoles(fields[6]), splitRoles(fields[7])
	}
	return o, nil
}

// openOutgoing opens the sealed fields of an event. after is its head from the
// idempotency key on.
func (s *Store) openOutgoing(
	ctx context.Context, user token.UserID, after, sealed string,
) (fields [8]string, ok bool) {
	if sealed == "" {
		return fields, false
	}
	rest, err := s.open(ctx, outboxOf(user, after[:script.KeySize]), []byte(sealed))
	if err != nil {
		return fields, false
	}
	for i := range fields {
		value, more, ok := field(rest)
		if !ok {
			return fields, false
		}
		fields[i], rest = string(value), more
	}
	return fields, true
}

// OutboxPartitions is the number of outboxes.
const OutboxPartitions = partitions

// OutboxMax is how many events an outbox holds. Beyond that the oldest go.
const OutboxMax = 1000

// outboxTogether is how many outboxes one pipeline reads.
const outboxTogether = 256

// Outgoing returns the oldest events of outboxes, up to limit of each, by
// partition. Partitions without any are left out. Events that no version can
// read are left out, too, and are moved to those that cannot be published.
// It returns [ErrUnavailable].
func (s *Store) Outgoing(
	ctx context.Context, of []int, limit int,
) (map[int][]Outgoing, error) {
	all := map[int][]Outgoing{}
	for some := range slices.Chunk(of, outboxTogether) {
		read := make([]*redis.StringSliceCmd, len(some))
		err := s.pipeline(ctx, func(p redis.Pipeliner) {
			for i, partition := range some {
				read[i] = p.LRange(ctx, s.outboxKey(partition), int64(-limit), -1)
			}
		})
		if err != nil {
			return nil, err
		}
		for i, partition := range some {
			for _, raw := range slices.Backward(read[i].Val()) {
				o, err := s.decodeOutgoing(ctx, raw)
				if err != nil {
					o = Outgoing{head: raw[:min(len(raw), outboxSize)]}
				}
				all[partition] = append(all[partition], o)
			}
		}
	}
	return all, nil
}

// Queued returns when the event was written into its outbox, about: of an end by
// a timeout that is later than its time.
func (o Outgoing) Queued() time.Time { return time.UnixMilli(int64(o.Sequence)) }

// Key identifies an event among those of its partition.
func (o Outgoing) Key() string { return o.head }

// Readable reports whether an event could be decoded. One that could not is
// passed to [Store.Published] as refused.
func (o Outgoing) Readable() bool { return o.Type != 0 }

// Published removes the oldest events of a partition's outbox: those that
// were accepted, and those that were refused for good, which are kept apart. It
// removes nothing that comes after an event that is neither. It returns how many
// it removed, and how many events were dropped since something was last removed
// because the outbox was full.
func (s *Store) Published(
	ctx context.Context, partition int, accepted, refused []Outgoing,
) (removed, dropped int, err error) {
	args := make([]any, 0, len(accepted)+len(refused))
	for _, o := range accepted {
		args = append(args, "p"+o.head)
	}
	for _, o := range refused {
		args = append(args, "x"+o.head)
	}
	keys := []string{s.outboxKey(partition), s.outboxStateKey(partition), s.refusedKey(partition)}
	r, err := s.run(ctx, outboxRemoveScript, keys, args...)
	if err != nil {
		return 0, 0, err
	}
	return int(r.Int(1)), int(r.Int(2)), nil
}

// Hints.

// hintTime is how long a request waits for its hint at most.
const hintTime = 50 * time.Millisecond

type hintsKey struct{}

// WithHints returns a context for a request. Hints about its changes are sent
// while the request goes on. The function that is returned waits for them, 50 ms
// at most each: call it when all else is done, since nothing runs after a request
// is answered. Without such a context, each change waits.
func (s *Store) WithHints(ctx context.Context) (context.Context, func()) {
	if !s.publishes() {
		return ctx, func() {}
	}
	var sent sync.WaitGroup
	return context.WithValue(ctx, hintsKey{}, &sent), sent.Wait
}

// hint tells the publisher that an outbox has events, if a script emitted any
// that are published. A hint that is lost costs a minute: the publisher looks at
// every outbox that often.
func (s *Store) hint(ctx context.Context, emitted string) {
	if !s.publishesAny(emitted) {
		return
	}
	partition := partitionOf(token.UserID([]byte(emitted[:16])))
	send := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hintTime)
		defer cancel()
		_ = s.rdb.SAdd(ctx, s.hintsKey(), strconv.Itoa(partition)).Err()
	}
	if sent, ok := ctx.Value(hintsKey{}).(*sync.WaitGroup); ok {
		sent.Go(send)
		return
	}
	send()
}

// publishesAny reports whether one of the emitted events is published.
func (s *Store) publishesAny(emitted string) bool {
	if !s.publishes() {
		return false
	}
	for ; len(emitted) >= emittedSize; emitted = emitted[emittedSize:] {
		if slices.Contains(s.opts.Outbox.Types, EventType(emitted[16])) {
			return true
		}
	}
	return false
}

// Hints returns the partitions that hints named since the last call. It returns
// [ErrUnavailable].
func (s *Store) Hints(ctx context.Context) (named []int, err error) {
	var found *redis.StringSliceCmd
	err = s.pipeline(ctx, func(p redis.Pipeliner) { found = p.SMembers(ctx, s.hintsKey()) })
	if err != nil || len(found.Val()) == 0 {
		return nil, err
	}
	// A hint that arrives in between is for events that are read afterwards.
	err = s.pipeline(ctx, func(p redis.Pipeliner) { p.SRem(ctx, s.hintsKey(), found.Val()) })
	for _, text := range found.Val() {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < partitions {
			named = append(named, n)
		}
	}
	return named, err
}
