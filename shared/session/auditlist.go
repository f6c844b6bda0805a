package session

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// The audit list has what admins did and looked at, over all accounts, newest
// first. It is one list of the deployment, in a slot of its own, so an entry is
// not written in the same step as the change that it is about. What an entry
// says of a change is in the activity of the account, too.
//
// An entry is a head, then the sealed name of the actor, then the sealed name
// of the account that it is about. Both names may be empty. The head has no
// names, so an account is erased from the list without opening anything.

// Action is what an admin did or looked at: an entry of the audit list.
type Action struct {
	// ID is unique within the list. IDs are in no order.
	ID   string
	Type EventType
	Time time.Time
	// Failed says that the admin was refused.
	Failed bool
	// Actor is the admin. ActorAccount is its account, or zero if that is not
	// known: it was erased, or its key was removed from the key ring.
	Actor        token.UserID
	ActorAccount token.Account
	// User is the account that the action is about, or zero if it is about
	// none. Account is the account of User, or zero if that is not known.
	User    token.UserID
	Account token.Account
	// Continues says that it is a further page of something that is looked at.
	// It is set only for [Store.AddAction].
	Continues bool
}

const (
	// actionFormat is the format of an entry.
	actionFormat = 1
	// actionFixedSize is the size of what the names of an entry are bound to,
	// and actionHeadSize the size of its head.
	actionFixedSize = 1 + 6 + script.KeySize + 1 + 1 + 16 + 16
	actionHeadSize  = actionFixedSize + 1

	// auditMax is how many entries the list has at most.
	auditMax = 1000
	// auditPushed is how many entries a script writes with one command.
	auditPushed = 100
	// auditContinues is how long after a look further pages of it are not added
	// to the list. Otherwise one long list would push out all else.
	auditContinues = 15 * time.Minute
)

// The names of an entry.
const (
	actorName  = "actor"
	targetName = "target"
)

// AddAction adds an entry to the audit list. It ignores ID and Time: the list
// has an ID of its own, and the current time. It takes one round trip, or none
// if ActivityMax is 0: then there is no list.
func (s *Store) AddAction(ctx context.Context, a Action) error {
	if s.opts.ActivityMax == 0 {
		return nil
	}
	a.Time = s.now()
	entry, err := s.encodeAction(a, script.NewIdempotencyKey())
	if err != nil {
		return err
	}
	recent := int64(0)
	if a.Continues {
		recent = ceilMillis(auditContinues)
	}
	_, err = s.run(ctx, auditScript, []string{s.auditKey()},
		entry, ceilMillis(s.opts.ActivityKeep), recent)
	return err
}

// Actions returns the entries of the audit list, newest first. It returns at
// most limit of them: those after the entry with the id after, or the newest if
// after is empty. The second result is the id to continue after, or empty if
// there are no more. Actions returns [ErrNotFound] if no entry has the id
// after; it may have been dropped since. It takes one round trip.
func (s *Store) Actions(
	ctx context.Context, after string, limit int,
) ([]Action, string, error) {
	stored, err := s.auditList(ctx)
	if err != nil {
		return nil, "", err
	}
	oldest := s.now().Add(-s.opts.ActivityKeep)
	stored = slices.DeleteFunc(stored, func(entry string) bool {
		return !isAction(entry) || !actionTime(entry).After(oldest)
	})
	if after != "" {
		i := slices.IndexFunc(stored, func(entry string) bool { return actionID(entry) == after })
		if i < 0 {
			return nil, "", ErrNotFound
		}
		stored = stored[i+1:]
	}
	next := ""
	if len(stored) > limit {
		stored, next = stored[:limit], actionID(stored[limit-1])
	}
	var actions []Action
	for _, entry := range stored {
		actions = append(actions, s.decodeAction(ctx, entry))
	}
	return actions, next, nil
}

// auditList reads all entries of the audit list, newest first.
func (s *Store) auditList(ctx context.Context) (stored []string, err error) {
	err = script.Retry(ctx, func() (err error) {
		stored, err = s.rdb.LRange(ctx, s.auditKey(), 0, -1).Result()
		return err
	})
	return stored, err
}

// eraseNames erases the name of an account from the audit list. It is called
// before the account is erased: if it fails, nothing was erased, and the owner
// can still ask again. It only reads if the list does not have the name, as for
// most accounts.
func (s *Store) eraseNames(ctx context.Context, user token.UserID) error {
	stored, err := s.auditList(ctx)
	damaged := redis.HasErrorPrefix(err, "WRONGTYPE") // the script deletes it
	if err != nil && !damaged {
		return err
	}
	named := func(entry string) bool { return mayName(entry, user) }
	if !damaged && !slices.ContainsFunc(stored, named) {
		return nil
	}
	_, err = s.run(ctx, eraseNamesScript, []string{s.auditKey()},
		user[:], millis(s.now()), ceilMillis(s.opts.ActivityKeep))
	return err
}

// encodeAction returns an entry, as layout describes it.
func (s *Store) encodeAction(a Action, idem script.IdempotencyKey) (string, error) {
	fixed := append(appendTimes([]byte{actionFormat}, a.Time), idem[:]...)
	fixed = append(fixed, byte(a.Type), byte(bit(a.Failed)))
	fixed = append(append(fixed, a.Actor[:]...), a.User[:]...)
	actor, err := s.sealActionName(fixed, actorName, a.Actor, a.ActorAccount, a.Time)
	if err != nil {
		return "", err
	}
	target, err := s.sealActionName(fixed, targetName, a.User, a.Account, a.Time)
	return string(fixed) + string([]byte{byte(len(actor))}) + actor + target, err
}

// sealActionName seals a name of an entry. An account that is not known is
// stored as nothing.
func (s *Store) sealActionName(
	fixed []byte, name string, user token.UserID, account token.Account, now time.Time,
) (string, error) {
	if account == (token.Account{}) {
		return "", nil
	}
	sealed, err := s.keys.Seal(
		s.keys.Current(now), actionNameOf(fixed, name, user), encodeAccount(account))
	return string(sealed), err
}

// actionNameOf returns what a name is bound to when it is sealed: the account
// that it names, which of the two names it is, and all that the head says.
func actionNameOf(fixed []byte, name string, user token.UserID) seal.Record {
	return seal.Record{Kind: "audit", Owner: user[:], Facts: append([]byte(name), fixed...)}
}

// isAction reports whether an entry has a format that this version knows.
func isAction(entry string) bool {
	return len(entry) >= actionHeadSize && entry[0] == actionFormat
}

// mayName reports whether an entry has the name of an account, or has a format
// that this version does not know.
func mayName(entry string, user token.UserID) bool {
	if !isAction(entry) {
		return true
	}
	ids, size := entry[actionFixedSize-2*len(user):actionFixedSize], int(entry[actionFixedSize])
	isActor, isUser := ids[:len(user)] == string(user[:]), ids[len(user):] == string(user[:])
	return isActor && size > 0 || isUser && len(entry) > actionHeadSize+size
}

func actionTime(entry string) time.Time { return (&reader{entry[1:]}).time() }

// actionID returns the id of an entry: its time and its idempotency key.
func actionID(entry string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(entry[1 : 1+6+script.KeySize]))
}

// decodeAction decodes an entry. It leaves out a name that does not open.
func (s *Store) decodeAction(ctx context.Context, entry string) Action {
	a := Action{ID: actionID(entry)}
	r := reader{entry[1:]}
	a.Time = r.time()
	r.skip(script.KeySize)
	a.Type, a.Failed = EventType(r.byte()), r.byte() != 0
	r.into(a.Actor[:])
	r.into(a.User[:])
	fixed, names := []byte(entry[:actionFixedSize]), []byte(entry[actionHeadSize:])
	size := min(int(entry[actionFixedSize]), len(names))
	a.ActorAccount = s.openAccount(ctx, actionNameOf(fixed, actorName, a.Actor), names[:size])
	a.Account = s.openAccount(ctx, actionNameOf(fixed, targetName, a.User), names[size:])
	return a
}
