package api

import (
	"slices"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// sessionRule is which session an endpoint wants.
type sessionRule int

const (
	// public wants none. A permission makes it member.
	public sessionRule = iota
	// member wants one that lives, and that is not held for a step-up.
	member
	// memberOrStepUp wants one that lives.
	memberOrStepUp
	// withPreferences is member, and reads the account's preferences in the same trip.
	withPreferences
)

// admit lets a request in that shows a session as the rule wants it, whose account has the permission, and that is fresh
// where it must be. Nothing else of the request has been looked at: who may not ask learns nothing by asking badly.
func (x *exchange) admit(rule sessionRule, wanted permission, fresh bool) error {
	if rule == public && wanted == "" {
		return nil
	}
	if err := x.open(rule); err != nil {
		return err
	}
	if wanted != "" && !slices.Contains(x.permissions(x.access.User), string(wanted)) {
		return forbidden("a permission is missing", string(wanted))
	}
	if fresh && !x.api.now().Before(x.access.Session.ElevatedUntil) {
		return fail(codeStepUp, "this wants a login or a step-up of the last minutes; step up")
	}
	return nil
}

// open reads the session of the access credential into the exchange. It applies the CSRF rule where that is a cookie and
// the method is not safe.
func (x *exchange) open(rule sessionRule) error {
	token, transport, err := x.accessToken()
	if err != nil {
		return err
	}
	if transport == session.Cookie && !safe(x.r.Method) {
		if err := x.checkOrigin(); err != nil {
			return err
		}
	}
	if x.client, err = x.clientOver(transport); err == nil {
		err = x.validate(token, rule)
	}
	if err == nil {
		x.concernsSession(x.access.Session.ID)
	} else if id, unknown := x.api.store.SessionOf(x.r.Context(), token); unknown == nil {
		x.concernsSession(id) // also where it turns out to be over
	}
	return err
}

func (x *exchange) validate(token string, rule sessionRule) (err error) {
	ctx, store := x.r.Context(), x.api.store
	switch rule {
	case memberOrStepUp:
		x.access, err = store.ValidateStepUp(ctx, token, x.client)
	case withPreferences:
		x.access, x.preferences, err = store.ValidateWithPreferences(ctx, token, x.client)
	default:
		x.access, err = store.Validate(ctx, token, x.client)
	}
	return err
}

// safe methods change nothing (RFC 9110, section 9.2.1).
func safe(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// actor is who asks, for a change of its own account.
func (x *exchange) actor() session.Actor {
	return session.Actor{IP: x.info.SourceIP, Device: deviceOf(x.r.Header).Name}
}

// actorFor is who asks, for a change of an account that may be another's.
func (x *exchange) actorFor(user token.UserID) session.Actor {
	actor := x.actor()
	if user != x.access.User.ID {
		actor.User = x.access.User.ID
	}
	return actor
}
