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
	// held wants one that lives.
	held
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
		err = x.read(token, rule)
	}
	if err == nil {
		x.concernsSession(x.access.Session.ID)
	} else if id, unknown := x.api.store.SessionOf(x.r.Context(), token); unknown == nil {
		x.concernsSession(id) // also where it turns out to be over
	}
	return err
}

func (x *exchange) read(token string, rule sessionRule) (err error) {
	ctx, store := x.r.Context(), x.api.store
	switch rule {
	case held:
		x.access, err = store.ReadHeld(ctx, token, x.client)
	case withPreferences:
		x.access, x.preferences, err = store.ReadPreferences(ctx, token, x.client)
	default:
		x.access, err = store.Read(ctx, token, x.client)
	}
	return err
}

// safe methods change nothing (RFC 9110, section 9.2.1).
func safe(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// by is who asks, for a change of its own account.
func (x *exchange) by() session.By {
	return session.By{IP: x.call.SourceIP, Device: deviceOf(x.r.Header).Name}
}

// byFor is who asks, for a change of an account that may be another's.
func (x *exchange) byFor(user token.UserID) session.By {
	by := x.by()
	if user != x.access.User.ID {
		by.Actor = x.access.User.ID
	}
	return by
}
