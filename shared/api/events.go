package api

import (
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

// eventType is a word of the audit log for what is no change of an account. Changes have those of session.EventType; a
// refusal has the one of what was refused.
type eventType string

const (
	eventRequest eventType = "request" // refused, by a route that has no word of its own
	eventLogin   eventType = "login"
	eventRefresh eventType = "refresh" // refused, or repeated: nothing was rotated
	eventLogout  eventType = "logout"  // refused, or repeated: it was over before
	eventStepUp  eventType = "step_up"
	// eventAuthorize is a request to a guarded API, refused.
	eventAuthorize eventType = "authorize"
)

// The outcomes of what a request asked for. Verdicts have others; see session.Event.
const (
	outcomeSuccess = "success"
	outcomeFailure = "failure"
)

type exchangeKey struct{}

// Audit makes what session.Options.Audit wants: it writes one line of the audit log for every change of an account. What
// changed in the course of a request names that request and its caller. No token, signature, nonce or cookie is ever
// among the attributes.
func Audit(log *slog.Logger, enabled bool) func(context.Context, session.Event) {
	return func(ctx context.Context, e session.Event) {
		if !enabled {
			return
		}
		attrs := append([]slog.Attr{slog.String("type", e.Type.String()), slog.String("outcome", e.Outcome())}, subjectOf(e)...)
		if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
			attrs = append(attrs, x.origin()...)
			attrs = append(attrs, x.aboutChange(e)...)
		}
		log.LogAttrs(ctx, slog.LevelInfo, "event", attrs...)
	}
}

// subjectOf is whom a change concerns, why it came, and who asked where that was another.
func subjectOf(e session.Event) []slog.Attr {
	attrs := []slog.Attr{slog.String("userId", e.User.String())}
	if e.Session.Session != [16]byte{} {
		attrs = append(attrs, slog.String("sessionId", e.Session.String()))
	}
	if e.Reason != 0 {
		attrs = append(attrs, slog.String("reason", e.Reason.String()))
	}
	if e.Actor.User != (token.UserID{}) {
		attrs = append(attrs, slog.String("actorId", e.Actor.User.String()))
	}
	return attrs
}

// aboutChange is what else is known of a change: what the request is about, but for its own account and session, which
// need not be the change's. Of a login that ended other sessions none of that is true of them.
func (x *exchange) aboutChange(e session.Event) []slog.Attr {
	if x.failed != "" && string(x.failed) != e.Type.String() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(x.about), func(a slog.Attr) bool { return a.Key == "userId" || a.Key == "sessionId" })
}

// origin is which request it was, and from where.
func (x *exchange) origin() []slog.Attr {
	return []slog.Attr{
		slog.String("requestId", x.id), slog.String("ip", ipText(x.info.SourceIP)), slog.String("device", deviceOf(x.r.Header).Name),
	}
}

// event writes one line of the audit log, for what is no change: that is written by Audit. Untrusted text in it is
// bounded, and the log's JSON encoding keeps it within its line.
func (x *exchange) event(t eventType, outcome string, attrs ...slog.Attr) {
	if !x.api.cfg.AuditLog {
		return
	}
	all := append([]slog.Attr{slog.String("type", string(t)), slog.String("outcome", outcome)}, x.origin()...)
	all = append(append(all, x.about...), attrs...)
	x.api.log.LogAttrs(x.r.Context(), slog.LevelInfo, "event", all...)
}

// recordFailure writes the event of a request that was refused, and of every failure of a route that has a word of its
// own. Where this very request ended a session, as stolen or lost, that change has been written and says why.
func (x *exchange) recordFailure(err error) {
	var over *session.EndedError
	switch {
	case errors.As(err, &over) && over.ByThis:
		if over.Reason == session.RefreshReused {
			x.api.Count(ReuseDetections)
		}
	case x.failed != "":
		x.event(x.failed, outcomeFailure, slog.String("reason", reasonOf(err)))
	case statuses[problemOf(err, false).code] < 500:
		x.event(eventRequest, outcomeFailure, slog.String("reason", reasonOf(err)))
	}
}

// reasonOf is why, more precisely than a client is told.
func reasonOf(err error) string {
	var (
		login *loginError
		over  *session.EndedError
	)
	switch {
	case errors.As(err, &login):
		return login.reason
	case errors.As(err, &over):
		return over.Reason.String()
	}
	return string(problemOf(err, false).code)
}

// concerns adds what the events of this request are about. What was said before under the same name is replaced.
func (x *exchange) concerns(attrs ...slog.Attr) {
	for _, attr := range attrs {
		x.about = slices.DeleteFunc(x.about, func(a slog.Attr) bool { return a.Key == attr.Key })
		x.about = append(x.about, attr)
	}
}

// concernsSession names a session and its account.
func (x *exchange) concernsSession(id token.ID) {
	x.concerns(slog.Any("userId", spelt{id.User}), slog.Any("sessionId", spelt{id}))
}

// spelt is spelt out where it is logged, which most requests never do.
type spelt struct{ fmt.Stringer }

// LogValue implements slog.LogValuer.
func (s spelt) LogValue() slog.Value { return slog.StringValue(s.String()) }

// maxLogged bounds untrusted text in the log, in bytes.
const maxLogged = 256

// bounded is untrusted text for the log. JSON keeps line breaks and escape sequences in their place, yet not the marks
// that turn the direction of what a terminal shows; so only printable ASCII stays.
func bounded(text string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '?'
		}
		return r
	}, text[:min(len(text), maxLogged)])
}

// unprintable is all but printable ASCII.
func unprintable(r rune) bool { return r < ' ' || r > '~' }

func ipText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
