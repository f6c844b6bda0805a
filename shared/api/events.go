package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// eventType is the type of an event in the audit log that is not a change of an
// account. Changes have the types of [session.EventType]; a refusal has the
// type of what was refused.
type eventType string

const (
	eventRequest eventType = "request" // refused, by a route without a type of its own
	eventLogin   eventType = "login"
	eventRefresh eventType = "refresh" // refused, or repeated: nothing was rotated
	eventLogout  eventType = "logout"  // refused, or repeated: the session had already ended
	eventStepUp  eventType = "step_up"
	// eventAuthorize is a refused request to a guarded API.
	eventAuthorize eventType = "authorize"
	// eventValidate is a request that a backend must refuse, or a refused request
	// of the backend itself.
	eventValidate eventType = "validate"
)

// The outcomes of a request. Policy results have others; see [session.Event].
const (
	outcomeSuccess = "success"
	outcomeFailure = "failure"
)

type exchangeKey struct{}

// Audit returns a function for [session.Options.Audit]. It writes one line of
// the audit log for every change of an account, or nothing if enabled is false.
// If a request made the change, the line names that request and its caller. The
// attributes never contain a token, signature, nonce or cookie.
func Audit(log *slog.Logger, enabled bool) func(context.Context, session.Event) {
	return func(ctx context.Context, e session.Event) {
		if !enabled {
			return
		}
		x, ok := ctx.Value(exchangeKey{}).(*exchange)
		if ok && e.Account == (token.Account{}) {
			e.Account = x.accountOf(e.User)
		}
		attrs := append([]slog.Attr{
			slog.String("type", e.Type.String()), slog.String("outcome", e.Outcome()),
		}, subjectOf(e)...)
		if ok {
			attrs = append(attrs, x.origin()...)
			attrs = append(attrs, x.aboutChange(e)...)
		}
		log.LogAttrs(ctx, slog.LevelInfo, "event", attrs...)
	}
}

// subjectOf returns the account and session that a change is about, its reason,
// and the actor if that is another account.
func subjectOf(e session.Event) []slog.Attr {
	attrs := []slog.Attr{slog.String("userId", e.User.String())}
	if account := accountText(e.Account); account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	if e.Session.Session != [16]byte{} {
		attrs = append(attrs, slog.String("sessionId", e.Session.String()))
	}
	if e.Reason != 0 {
		attrs = append(attrs, slog.String("reason", e.Reason.String()))
	}
	if e.RolesAfter != nil {
		attrs = append(attrs, slog.String("rolesBefore", strings.Join(e.RolesBefore, ",")),
			slog.String("rolesAfter", strings.Join(e.RolesAfter, ",")))
	}
	if e.Actor.User != (token.UserID{}) {
		attrs = append(attrs, slog.String("actorId", e.Actor.User.String()))
	}
	if actor := accountText(e.Actor.Account); actor != "" {
		attrs = append(attrs, slog.String("actor", actor))
	}
	return attrs
}

// aboutChange returns what else is known of a change: the attributes of the
// request, without its account and session, which may differ from the change's.
// It returns nothing if the route has an event type of its own and the change has
// another, such as the end of another session during a login: there the
// attributes would be wrong.
func (x *exchange) aboutChange(e session.Event) []slog.Attr {
	if x.failed != "" && string(x.failed) != e.Type.String() {
		return nil
	}
	return x.aboutRequest()
}

// aboutRequest returns the attributes of the request without those of its
// caller.
func (x *exchange) aboutRequest() []slog.Attr {
	return slices.DeleteFunc(slices.Clone(x.about), func(a slog.Attr) bool {
		return a.Key == "userId" || a.Key == "account" || a.Key == "sessionId"
	})
}

// origin returns the id, address and device of the request, and what is wrong
// with its event.
func (x *exchange) origin() []slog.Attr {
	return append([]slog.Attr{
		slog.String("requestId", x.id), slog.String("ip", ipText(x.info.SourceIP)),
		slog.String("device", x.device().Name),
	}, x.info.detail()...)
}

// event writes one line of the audit log for something that is not a change;
// changes are written by [Audit]. Untrusted text in it is bounded, and the
// log's JSON encoding keeps it within its line.
func (x *exchange) event(t eventType, outcome string, attrs ...slog.Attr) {
	if !x.api.cfg.AuditLog {
		return
	}
	all := append([]slog.Attr{
		slog.String("type", string(t)), slog.String("outcome", outcome),
	}, x.origin()...)
	all = append(append(all, x.about...), attrs...)
	x.api.log.LogAttrs(x.r.Context(), slog.LevelInfo, "event", all...)
}

// recordFailure returns the problem of a request that failed. It writes the
// event of a refused request, and of every failure of a route with an event
// type of its own. If this very request ended a session, as stolen or lost, the
// event of that change has been written and has the reason. A fault is logged.
func (x *exchange) recordFailure(err error) *problem {
	p := problemOf(err, x.api.cfg.Local)
	var ended *session.EndedError
	switch {
	case errors.As(err, &ended) && ended.ByThis:
		if ended.Reason == session.RefreshReused {
			x.api.Count(ReuseDetections)
		}
	case x.failed != "" || p.code.status < 500:
		kind := cmp.Or(x.failed, eventRequest)
		x.event(kind, outcomeFailure, slog.String("reason", reasonOf(p, err)))
	}
	if x.api.cfg.Local {
		x.explained = x.explain(p, err)
	}
	x.logFault(p, err)
	return p
}

// explain says for a developer what went wrong and what to do.
func (x *exchange) explain(p *problem, err error) string {
	if login, ok := errors.AsType[*loginError](err); ok {
		return strings.TrimPrefix(login.detail(true), login.detail(false)+": ")
	}
	if ended, ok := errors.AsType[*session.EndedError](err); ok {
		return ended.Reason.String()
	}
	if p.code == codeOrigin && p.detail != x.info.Detail {
		return p.detail + "; " + x.originAdvice()
	}
	return p.detail
}

// reasonOf returns why a request failed, more precisely than a client is told.
func reasonOf(p *problem, err error) string {
	if login, ok := errors.AsType[*loginError](err); ok {
		return login.reason
	}
	if ended, ok := errors.AsType[*session.EndedError](err); ok {
		return ended.Reason.String()
	}
	return p.code.name
}

// concerns adds attributes to the events of this request. It replaces an
// earlier attribute of the same name.
func (x *exchange) concerns(attrs ...slog.Attr) {
	for _, attr := range attrs {
		x.about = slices.DeleteFunc(x.about, func(a slog.Attr) bool { return a.Key == attr.Key })
		x.about = append(x.about, attr)
	}
}

// concernsSession adds a session and its account to the events of this request.
func (x *exchange) concernsSession(id token.ID) {
	x.concerns(slog.Any("userId", lazyText{id.User}), slog.Any("sessionId", lazyText{id}))
}

// lazyText calls String only when it is logged, which most requests never do.
type lazyText struct{ fmt.Stringer }

// LogValue implements [slog.LogValuer].
func (s lazyText) LogValue() slog.Value { return slog.StringValue(s.String()) }

// maxLogged bounds untrusted text in the log, in bytes.
const maxLogged = 256

// bounded returns untrusted text for the log: at most maxLogged bytes, with a
// question mark for everything but printable ASCII. JSON escapes line breaks
// and escape sequences, but not the marks that change the direction of text in
// a terminal.
func bounded(text string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '?'
		}
		return r
	}, text[:min(len(text), maxLogged)])
}

// unprintable reports whether r is not printable ASCII.
func unprintable(r rune) bool { return r < ' ' || r > '~' }

func ipText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
