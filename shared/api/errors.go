package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
	"latchkey/shared/wallet"
)

// code identifies an error to programs. The names are the contract with
// clients.
type code string

const (
	codeInvalidRequest  code = "invalid_request"
	codeInvalidMessage  code = "invalid_message"
	codeLoginFailed     code = "login_failed"
	codeNoCredentials   code = "no_credentials"
	codeInvalidToken    code = "invalid_token"
	codeTokenExpired    code = "token_expired"
	codeSessionEnded    code = "session_ended"
	codeStepUp          code = "step_up_required"
	codeForbidden       code = "forbidden"
	codeOrigin          code = "origin_not_allowed"
	codeAccountBlocked  code = "account_blocked"
	codeSessionLimit    code = "session_limit"
	codeNotFound        code = "not_found"
	codeConflict        code = "conflict"
	codePrecondition    code = "precondition_failed"
	codeTooLarge        code = "too_large"
	codeUnsupportedType code = "unsupported_media_type"
	codeUnconditional   code = "precondition_required"
	codeRateLimited     code = "rate_limited"
	codeInternal        code = "internal"
	codeUnavailable     code = "unavailable"
)

// statuses maps every code to its HTTP status.
var statuses = map[code]int{
	codeInvalidRequest:  http.StatusBadRequest,
	codeInvalidMessage:  http.StatusBadRequest,
	codeLoginFailed:     http.StatusUnauthorized,
	codeNoCredentials:   http.StatusUnauthorized,
	codeInvalidToken:    http.StatusUnauthorized,
	codeTokenExpired:    http.StatusUnauthorized,
	codeSessionEnded:    http.StatusUnauthorized,
	codeStepUp:          http.StatusUnauthorized,
	codeForbidden:       http.StatusForbidden,
	codeOrigin:          http.StatusForbidden,
	codeAccountBlocked:  http.StatusForbidden,
	codeSessionLimit:    http.StatusForbidden,
	codeNotFound:        http.StatusNotFound,
	codeConflict:        http.StatusConflict,
	codePrecondition:    http.StatusPreconditionFailed,
	codeTooLarge:        http.StatusRequestEntityTooLarge,
	codeUnsupportedType: http.StatusUnsupportedMediaType,
	codeUnconditional:   http.StatusPreconditionRequired,
	codeRateLimited:     http.StatusTooManyRequests,
	codeInternal:        http.StatusInternalServerError,
	codeUnavailable:     http.StatusServiceUnavailable,
}

// problem is an error as clients see it (RFC 9457).
type problem struct {
	code    code
	detail  string
	members map[string]any // in addition to the standard ones
	forget  bool           // delete the client's cookies, so that its next request works
}

// Error implements error.
func (p *problem) Error() string { return string(p.code) + ": " + p.detail }

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
}

// Error implements error.
func (e *loginError) Error() string { return "login failed: " + e.cause.Error() }

// problemOf returns the problem that the client gets for an error of any layer.
// An error that it does not know is a defect. If local is set, a failed login
// has its reason.
func problemOf(err error, local bool) *problem {
	var (
		known  *problem
		syntax *siwe.SyntaxError
		login  *loginError
		ended  *session.EndedError
		rate   *session.RateError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &rate):
		return fail(codeRateLimited, "too many requests: retry after the seconds in Retry-After")
	case errors.As(err, &syntax):
		return fail(codeInvalidMessage, syntax.Error())
	case errors.Is(err, wallet.ErrMalformed):
		return invalid(err.Error())
	case errors.As(err, &login):
		detail := "the login was not accepted"
		if local {
			detail += ": " + login.cause.Error()
		}
		return fail(codeLoginFailed, detail)
	case errors.As(err, &ended):
		detail := "the session has ended: sign in again"
		return &problem{code: codeSessionEnded, detail: detail, members: map[string]any{
			"reason": ended.Reason.String(), "endedAt": timestamp(ended.At),
		}}
	}
	return sentinelOf(err)
}

func sentinelOf(err error) *problem {
	for _, row := range []struct {
		is     error
		code   code
		detail string
	}{
		{token.ErrInvalid, codeInvalidToken,
			"the token is not valid, or its session is unknown: sign in again"},
		{session.ErrTokenExpired, codeTokenExpired, "the access token has expired: refresh it"},
		{session.ErrStepUp, codeStepUp,
			"the device or network of the session changed: step up"},
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
		{session.ErrUnavailable, codeUnavailable,
			"the service is temporarily unavailable: retry after the seconds in Retry-After"},
	} {
		if errors.Is(err, row.is) {
			return fail(row.code, row.detail)
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
	status := statuses[p.code]
	if challenge := challenges[p.code]; challenge != "" {
		x.w.Header().Set("WWW-Authenticate", challenge)
	}
	if p.code == codeUnavailable {
		x.w.Header().Set("Retry-After", retryAfter)
	}
	var rate *session.RateError
	if errors.As(err, &rate) {
		setRateHeaders(x.w.Header(), rate)
	}
	if p.forget && !x.linked() {
		x.forgetCookies()
	}
	body := map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"code": p.code, "detail": p.detail, "requestId": x.id,
	}
	maps.Copy(body, p.members)
	text, _ := json.Marshal(body) // strings and numbers always encode
	x.write(status, "application/problem+json", text)
}

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = "1"

// setRateHeaders sets the quota of the rate limit that was exceeded, and when
// to retry (draft-ietf-httpapi-ratelimit-headers).
func setRateHeaders(header http.Header, rate *session.RateError) {
	wait := max(1, int64((rate.Retry+time.Second-1)/time.Second))
	header.Set("Retry-After", strconv.FormatInt(wait, 10))
	header.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=60", rate.Name, rate.Limit))
	header.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%d", rate.Name, wait))
}

// challenges are the values of WWW-Authenticate that RFC 6750, section 3
// requires. If no credential was sent there is no error code. A step-up is
// requested as in RFC 9470, section 3.
var challenges = map[code]string{
	codeNoCredentials: "Bearer",
	codeForbidden:     `Bearer error="insufficient_scope"`,
	codeInvalidToken:  `Bearer error="invalid_token"`,
	codeTokenExpired:  `Bearer error="invalid_token"`,
	codeSessionEnded:  `Bearer error="invalid_token"`,
	codeStepUp:        `Bearer error="insufficient_user_authentication"`,
}

// logFault logs what the client is not told: why something is unavailable, what
// the defect is, and that a stored record did not open.
func (x *exchange) logFault(p *problem, err error) {
	if statuses[p.code] >= 500 {
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
