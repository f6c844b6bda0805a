package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"latchkey/shared/chain"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
	"latchkey/shared/wallet"
)

// code identifies an error to programs.
type code struct {
	name      string // the contract with clients
	status    int
	challenge string // the value of WWW-Authenticate; empty sends none
}

// The challenges are those of RFC 6750, section 3. If no credential was sent
// there is no error code. A step-up is requested as in RFC 9470, section 3.
var (
	codeInvalidRequest  = code{"invalid_request", 400, ""}
	codeInvalidMessage  = code{"invalid_message", 400, ""}
	codeLoginFailed     = code{"login_failed", 401, ""}
	codeNoCredentials   = code{"no_credentials", 401, "Bearer"}
	codeInvalidToken    = code{"invalid_token", 401, `Bearer error="invalid_token"`}
	codeTokenExpired    = code{"token_expired", 401, `Bearer error="invalid_token"`}
	codeSessionEnded    = code{"session_ended", 401, `Bearer error="invalid_token"`}
	codeStepUp          = code{"step_up_required", 401, `Bearer error="insufficient_user_authentication"`}
	codeForbidden       = code{"forbidden", 403, `Bearer error="insufficient_scope"`}
	codeOrigin          = code{"origin_not_allowed", 403, ""}
	codeEdge            = code{"edge_required", 403, ""}
	codeAccountBlocked  = code{"account_blocked", 403, ""}
	codeSessionLimit    = code{"session_limit", 403, ""}
	codeNotFound        = code{"not_found", 404, ""}
	codeMisdirected     = code{"misdirected_request", 421, ""}
	codeConflict        = code{"conflict", 409, ""}
	codePrecondition    = code{"precondition_failed", 412, ""}
	codeTooLarge        = code{"too_large", 413, ""}
	codeUnsupportedType = code{"unsupported_media_type", 415, ""}
	codeUnconditional   = code{"precondition_required", 428, ""}
	codeRateLimited     = code{"rate_limited", 429, ""}
	codeInternal        = code{"internal", 500, ""}
	codeUnavailable     = code{"unavailable", 503, ""}
)

// problem is an error as clients see it (RFC 9457).
type problem struct {
	code    code
	detail  string
	members map[string]any // in addition to the standard ones
	forget  bool           // delete the client's cookies, so that its next request works
}

// Error implements error.
func (p *problem) Error() string { return p.code.name + ": " + p.detail }

func fail(c code, detail string) *problem { return &problem{code: c, detail: detail} }

// absent is the problem for what does not exist and for what belongs to another
// user. Clients must not be able to tell which it is.
func absent() *problem { return fail(codeNotFound, "there is no such resource") }

// forbidden returns a problem that names the missing permission; "admin" stands
// for all of them.
func forbidden(detail, permission string) *problem {
	members := map[string]any{"permission": permission}
	return &problem{code: codeForbidden, detail: detail, members: members}
}

func invalid(detail string) *problem { return fail(codeInvalidRequest, detail) }

// ambiguous returns a problem for credentials in two places at once. It deletes
// the client's cookies.
func ambiguous(detail string) *problem {
	return &problem{code: codeInvalidRequest, detail: detail, forget: true}
}

// loginError is a well-formed login that was not accepted. Except in local
// development, clients are not told which rule it broke.
type loginError struct {
	reason string // one stable word for the audit log
	cause  error
	// transport of the login; zero for a step-up. cookieless says that it is
	// the cookie transport, and that the request has no pre-login cookie.
	// recent says that the cookie cannot have expired since the message was
	// issued. The client knows all three.
	transport  session.Transport
	cookieless bool
	recent     bool
}

// Error implements error.
func (e *loginError) Error() string { return "login failed: " + e.cause.Error() }

// detail returns what the client is told. That there is no pre-login cookie is
// said whichever rule the login broke, so it says nothing about that.
func (e *loginError) detail(local bool) string {
	detail := "the login was not accepted"
	if e.cookieless {
		detail += ": the request has no pre-login cookie: send it, and the request for the nonce, " +
			"with credentials: 'include', from a page on the API's site"
	}
	if local {
		detail += ": " + e.explain()
	}
	return detail
}

// members returns what programs are told besides the code. A browser that has
// not kept a recent cookie keeps none. As in the detail, that is said whichever
// rule the login broke.
func (e *loginError) members() map[string]any {
	if e.cookieless && e.recent {
		return map[string]any{"reason": "no_prelogin_cookie"}
	}
	return nil
}

// explain says which rule the login broke, for a developer.
func (e *loginError) explain() string {
	if policy, ok := errors.AsType[*siwe.PolicyError](e.cause); ok {
		return policy.Explain()
	}
	text := e.cause.Error()
	if e.transport == session.Cookie && errors.Is(e.cause, session.ErrNonceUnknown) {
		text += "; or the nonce was requested without credentials: 'include'"
	}
	return text
}

// problemOf returns the problem that the client gets for an error of any layer.
// An error that it does not know is a defect. If local is set, a failed login
// has its reason.
func problemOf(err error, local bool) *problem {
	if known, ok := errors.AsType[*problem](err); ok {
		return known
	}
	if _, ok := errors.AsType[*session.RateError](err); ok {
		return fail(codeRateLimited, "too many requests: retry after the seconds in Retry-After")
	}
	if syntax, ok := errors.AsType[*siwe.SyntaxError](err); ok {
		return fail(codeInvalidMessage, syntax.Error())
	}
	if login, ok := errors.AsType[*loginError](err); ok {
		return &problem{code: codeLoginFailed, detail: login.detail(local), members: login.members()}
	}
	if ended, ok := errors.AsType[*session.EndedError](err); ok {
		detail := "the session has ended: sign in again"
		return &problem{code: codeSessionEnded, detail: detail, members: map[string]any{
			"reason": ended.Reason.String(), "endedAt": timestamp(ended.At),
		}}
	}
	return sentinelOf(err)
}

// sentinels maps errors of the lower layers to codes. An empty detail stands for
// the text of the error.
var sentinels = []struct {
	is     error
	code   code
	detail string
}{
	{wallet.ErrMalformed, codeInvalidRequest, ""},
	{token.ErrInvalid, codeInvalidToken,
		"the token is not valid, or its session is unknown: sign in again"},
	{session.ErrTicketUsed, codeInvalidToken, "the ticket was used before: request a new one"},
	{session.ErrTokenExpired, codeTokenExpired, "the access token has expired: refresh it"},
	{session.ErrStepUp, codeStepUp, "the device or network of the session changed: step up"},
	{session.ErrBlocked, codeAccountBlocked, "the account is blocked"},
	{session.ErrSessionLimit, codeSessionLimit, "the account has reached its session limit: " +
		"end a session from another device, or wait for one to time out"},
	{session.ErrNotFound, codeNotFound, absent().detail},
	{session.ErrLastAdmin, codeConflict,
		"the account is the last admin: make another account an admin first"},
	{session.ErrPrecondition, codePrecondition,
		"the resource does not match If-Match or If-None-Match: read it again"},
	{session.ErrTooLarge, codeTooLarge,
		"the value does not fit in the quota: store less, or delete something first"},
	{session.ErrNonceBusy, codeUnavailable, ""},
	{chain.ErrTrouble, codeUnavailable,
		"the chain of the contract wallet cannot be asked now: send the same message again " +
			"after the seconds in Retry-After"},
	{session.ErrUnavailable, codeUnavailable,
		"the service is temporarily unavailable: retry after the seconds in Retry-After"},
}

func sentinelOf(err error) *problem {
	for _, row := range sentinels {
		if errors.Is(err, row.is) {
			return fail(row.code, cmp.Or(row.detail, err.Error()))
		}
	}
	return fail(codeInternal, "internal error: the log has its cause under the request id")
}

// writeProblem answers with the problem of an error.
func (x *exchange) writeProblem(p *problem, err error) {
	x.code = p.code
	if p.code == codeLoginFailed {
		x.api.Count(FailedLogins)
	}
	x.w.Header().Del("Set-Cookie") // an error sets no credentials
	if p.code.challenge != "" {
		x.w.Header().Set("WWW-Authenticate", p.code.challenge)
	}
	if p.code == codeUnavailable {
		x.w.Header().Set("Retry-After", retryAfter)
	}
	if trouble, ok := errors.AsType[*chain.TroubleError](err); ok {
		x.w.Header().Set("Retry-After", secondsUp(trouble.RetryAfter))
	}
	if rate, ok := errors.AsType[*session.RateError](err); ok {
		setRateHeaders(x.w.Header(), rate)
	}
	if p.forget && !x.linked() {
		x.forgetCookies()
	}
	text, _ := json.Marshal(x.problemBody(p)) // strings and numbers always encode
	x.write(p.code.status, "application/problem+json", text)
}

// problemBody returns the members of a problem.
func (x *exchange) problemBody(p *problem) map[string]any {
	body := map[string]any{
		"type": "about:blank", "title": http.StatusText(p.code.status), "status": p.code.status,
		"code": p.code.name, "detail": p.detail, "requestId": x.id,
	}
	maps.Copy(body, p.members)
	return body
}

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = "1"

// setRateHeaders sets the quota of the rate limit that was exceeded, and when
// to retry (draft-ietf-httpapi-ratelimit-headers).
func setRateHeaders(header http.Header, rate *session.RateError) {
	wait := secondsUp(rate.Retry)
	header.Set("Retry-After", wait)
	window := rate.Window.Seconds()
	header.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%.0f", rate.Name, rate.Limit, window))
	header.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%s", rate.Name, wait))
}

// secondsUp returns a duration in seconds, rounded up, at least 1.
func secondsUp(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// logFault logs what the client is not told: why something is unavailable, what
// the defect is, and that a stored record did not open.
func (x *exchange) logFault(p *problem, err error) {
	// Anybody can send one message twice: that is no fault.
	if p.code.status >= 500 && !errors.Is(err, session.ErrNonceBusy) {
		x.api.Count(Faults)
	}
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		x.api.log.Error("internal", "requestId", x.id,
			"error", bounded(err.Error()), "stack", string(panicked.stack))
	case p.code == codeInternal:
		x.api.log.Error("internal", "requestId", x.id, "error", err.Error())
	case p.code == codeUnavailable:
		x.api.log.Warn("unavailable", "requestId", x.id, "error", err.Error())
	case errors.Is(err, session.ErrDamaged):
		x.api.log.Error("damaged record", "requestId", x.id, "error", err.Error())
	}
}
