package api

import (
	"log/slog"
	"slices"

	"latchkey/shared/session"
)

// sessionRule says which session a route requires.
type sessionRule int

const (
	// public requires no session. With a permission it is treated as member.
	public sessionRule = iota
	// member requires a live session without a required step-up.
	member
	// memberOrStepUp requires a live session; a step-up may be required.
	memberOrStepUp
	// withPreferences is member, and reads the account's preferences in the
	// same round trip.
	withPreferences
)

// admit checks that a request has the session that a route requires, that its
// account has the permission, and, if the route is fresh, that its login or
// step-up is recent. It runs before the rest of the request is read, so that
// callers without access learn nothing from error messages.
func (x *exchange) admit(rt *route) error {
	if rt.session == public && rt.needs == "" {
		return nil
	}
	if err := x.open(rt.session); err != nil {
		return err
	}
	if wanted := string(rt.needs); wanted != "" &&
		!slices.Contains(x.permissions(x.roles(x.access.User)), wanted) {
		return lacksPermission(wanted)
	}
	if rt.fresh && !x.isFresh() {
		return errNotFresh
	}
	return nil
}

// lacksPermission is the error of an account without a permission.
func lacksPermission(wanted string) error {
	return forbidden("the account lacks a permission that this request requires", wanted)
}

var errNotFresh = fail(codeStepUp,
	"the request requires a recent login or step-up: step up and retry")

// isFresh reports whether the login or the last step-up of the session is recent.
func (x *exchange) isFresh() bool { return x.api.now().Before(x.access.Session.ElevatedUntil) }

// open reads the session of the access credential into the exchange. If the
// credential is a cookie and the method is not safe, it first checks the
// origin, against CSRF.
func (x *exchange) open(rule sessionRule) error {
	text, transport, err := x.accessToken()
	if err != nil {
		return err
	}
	if transport == session.Cookie && !safe(x.r.Method) {
		if err := x.checkOrigin(); err != nil {
			return err
		}
	}
	if x.client, err = x.clientOver(transport); err == nil {
		err = x.validate(text, rule)
	}
	if err == nil {
		x.concernsSession(x.access.Session.ID)
		x.concerns(slog.Any("account", lazyText{x.access.User.Account}))
	} else if id, unknown := x.api.store.SessionOf(x.r.Context(), text); unknown == nil {
		x.concernsSession(id) // also if the session has ended
	}
	return err
}

func (x *exchange) validate(text string, rule sessionRule) (err error) {
	ctx, store := x.r.Context(), x.api.store
	switch rule {
	case memberOrStepUp:
		x.access, err = store.ValidateStepUp(ctx, text, x.client)
	case withPreferences:
		x.access, x.preferences, err = store.ValidateWithPreferences(ctx, text, x.client)
	default:
		x.access, err = store.Validate(ctx, text, x.client)
	}
	return err
}

// safe reports whether a method changes nothing (RFC 9110, section 9.2.1).
func safe(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// actor returns the [session.Actor] of a request that changes the caller's own
// account.
func (x *exchange) actor() session.Actor {
	return session.Actor{IP: x.info.SourceIP, Device: x.device().Name}
}
