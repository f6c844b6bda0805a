package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

type stepUpBody struct {
	Message      string  `json:"message"`
	Signature    string  `json:"signature"`
	RefreshToken *string `json:"refreshToken"`
}

// errOtherAccount says that another account than the session's signed a
// step-up.
var errOtherAccount = errors.New("the message's account is not the session's")

// stepUpPolicy returns the policy of a login with the statements of a step-up.
func stepUpPolicy(login siwe.Policy) siwe.Policy {
	others := login.OtherStatements
	login.Statement, login.OtherStatements = StepUpStatement(login.Statement), nil
	for _, statement := range others {
		login.OtherStatements = append(login.OtherStatements, StepUpStatement(statement))
	}
	return login
}

// StepUpStatement returns the statement of a step-up, given one of a login. It
// is longer than the login's, so a message that somebody was made to sign for
// one is worthless for the other.
func StepUpStatement(login string) string {
	return strings.TrimSpace(login + " Confirm that it is you.")
}

// StepUp serves POST /auth/step-up: it verifies a signed message of the
// session's account, and renews the session.
func (a *API) StepUp() http.Handler {
	return handleBody(a, route{
		method: "POST", failed: eventStepUp, most: maxSignedBody,
	}, (*exchange).stepUp)
}

func (x *exchange) stepUp(in stepUpBody) (grantView, error) {
	renew, err := x.renewing(in.RefreshToken)
	if err != nil {
		return grantView{}, err
	}
	try := attempt{raw: []byte(in.Message)}
	if try.client, err = x.clientOver(renew.transport); err != nil {
		return grantView{}, err
	}
	if err := try.parse(in.Signature); err != nil {
		return grantView{}, err
	}
	x.concerns(slog.String("address", try.message.Address.Hex()))
	access, err := renew.inspect(x.r.Context(), renew.token, renew.transport)
	if err != nil {
		return grantView{}, err
	}
	g, err := x.renew(try, access)
	if err != nil {
		return grantView{}, err
	}
	return x.grant(g), nil
}

// renewal is the credential that a step-up renews, and the method of the store
// that reads its session: each accepts one kind of token.
type renewal struct {
	token     string
	transport session.Transport
	inspect   func(context.Context, string, session.Transport) (session.Access, error)
}

// renewing returns the credential that a step-up renews. If both an access and
// a refresh token were sent, which must be of one session, it is the access
// token.
func (x *exchange) renewing(inBody *string) (renewal, error) {
	id, err := x.ending(inBody)
	if err != nil {
		return renewal{}, err
	}
	x.concernsSession(id)
	p, store := x.presented, x.api.store
	switch {
	case p.bearer != "":
		return renewal{p.bearer, session.Bearer, store.Inspect}, nil
	case inBody != nil:
		return renewal{*inBody, session.Bearer, store.InspectRefresh}, nil
	case p.cookie[sessionCookie] != "":
		return renewal{p.cookie[sessionCookie], session.Cookie, store.Inspect}, nil
	}
	return renewal{p.cookie[refreshCookie], session.Cookie, store.InspectRefresh}, nil
}

// renew proves who steps up, and renews the session.
func (x *exchange) renew(try attempt, access session.Access) (session.Grant, error) {
	by, err := x.prove(try, session.NonceTerms{
		Transport: try.client.Transport, Purpose: session.ForStepUp,
		Session: access.Session.ID, From: x.info.SourceIP,
	}, x.api.stepUpPolicy)
	// The signature proves who signed the message, but not that it is the
	// session's account.
	if err == nil && by.account != access.Session.Account {
		err = fmt.Errorf("%w: wanted %s, got %s", errOtherAccount, access.Session.Account, by.account)
	}
	if err != nil {
		return session.Grant{}, loginFault(err)
	}
	client := try.client
	client.Device.Name = nameAfter(access.Session.Device, client.Device)
	return x.api.store.StepUp(x.r.Context(), access, client, by.stored)
}

// nameAfter returns the name of a device that replaces another. If it is the
// same kind of device, it keeps the name it had.
func nameAfter(before, now session.Device) string {
	if before.Browser == now.Browser && before.OS == now.OS && before.Class == now.Class {
		return before.Name
	}
	return now.Name
}
