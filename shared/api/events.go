package api

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"

	"latchkey/shared/session"
)

// eventType is the vocabulary of the audit log: one word for each outcome.
type eventType string

const (
	loginSucceeded   eventType = "login.succeeded"
	loginFailed      eventType = "login.failed"      // reason
	refreshSucceeded eventType = "refresh.succeeded" // repeated: nothing was rotated
	refreshFailed    eventType = "refresh.failed"    // reason
	logoutSucceeded  eventType = "logout.succeeded"  // everywhere and ended, or repeated: it was over before
	logoutFailed     eventType = "logout.failed"     // reason
	sessionEnded     eventType = "session.ended"     // reason; another session than the request's own, or this one found stolen or lost
)

// event writes one line of the audit log. Untrusted text in it is bounded, and the log's JSON encoding keeps it within
// its line. No token, signature, nonce or cookie is ever among the attributes.
func (x *exchange) event(t eventType, attrs ...slog.Attr) {
	if !x.api.cfg.AuditLog {
		return
	}
	all := []slog.Attr{slog.String("type", string(t)), slog.String("requestId", x.id), slog.String("ip", ipText(x.call.SourceIP)),
		slog.String("device", deviceOf(x.r.Header).Name)}
	all = append(append(all, x.about...), attrs...)
	x.api.log.LogAttrs(x.r.Context(), slog.LevelInfo, "event", all...)
}

// recordFailure writes the event of a request that failed. A session that this very request found stolen or lost has
// ended by it; that is its outcome, also on routes whose failures are no events.
func (x *exchange) recordFailure(err error) {
	var over *session.EndedError
	switch {
	case x.api == nil:
	case errors.As(err, &over) && over.ByThis:
		x.ended(over.Session, over.Reason)
	case x.failed != "":
		x.event(x.failed, slog.String("reason", reasonOf(err)))
	}
}

// ended tells that a session is over: that one, whatever else the request is about.
func (x *exchange) ended(id session.ID, reason session.Reason) {
	own := x.about
	x.about = nil
	x.concernsSession(id)
	x.event(sessionEnded, slog.String("reason", reason.String()))
	x.about = own
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

// concerns adds what the events of this request are about.
func (x *exchange) concerns(attrs ...slog.Attr) { x.about = append(x.about, attrs...) }

// concernsSession names a session and its account.
func (x *exchange) concernsSession(id session.ID) {
	x.concerns(slog.String("userId", id.User.String()), slog.String("sessionId", id.String()))
}

// maxLogged bounds untrusted text in the log, in bytes.
const maxLogged = 256

// bounded is untrusted text for the log. JSON keeps line breaks and escape sequences in their place, yet not the marks
// that turn the direction of what a terminal shows; so only printable ASCII stays.
func bounded(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text[:min(len(text), maxLogged)])
}

func ipText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}
