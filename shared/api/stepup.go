package api

import (
	"context"
	"errors"
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

// errOtherAddress says that a step-up was signed by another account than the session's.
var errOtherAddress = errors.New("the message is not of the session's address")

// stepUpStatement is the statement of a step-up. It is longer than the login's, so a message that somebody was made to
// sign for the one is worth nothing at the other.
func stepUpStatement(login string) string {
	return strings.TrimSpace(login + " Confirm that it is you.")
}

// stepUpPolicy is the policy of a login but for the statement.
func stepUpPolicy(login siwe.Policy) siwe.Policy {
	login.Statement = stepUpStatement(login.Statement)
	return login
}

// StepUp serves POST /auth/step-up.
func (a *API) StepUp() http.Handler {
	return endpoint[stepUpBody]{method: http.MethodPost, failed: eventStepUp, serve: func(x *exchange, in stepUpBody) (any, error) {
		renew, err := x.renewing(in.RefreshToken)
		if err != nil {
			return nil, err
		}
		try := attempt{raw: []byte(in.Message)}
		if try.client, err = x.clientOver(renew.transport); err != nil {
			return nil, err
		}
		if err := try.parse(in.Signature); err != nil {
			return nil, err
		}
		x.concerns(slog.String("address", try.message.Address.Hex()))
		access, err := renew.present(x.r.Context(), renew.token, renew.transport)
		if err != nil {
			return nil, err
		}
		g, err := x.stepUp(try, access)
		if err != nil {
			return nil, err
		}
		return x.grant(g), nil
	}}.handler(a)
}

// renewal is the credential that a step-up renews, and how the store is asked for its session: each place takes one kind
// of token.
type renewal struct {
	token     string
	transport session.Transport
	present   func(context.Context, string, session.Transport) (session.Access, error)
}

// renewing finds the credential that a step-up renews. Of an access and a refresh token, which must be of one session,
// the access token counts.
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

// stepUp spends the nonce, whatever comes of it, then checks policy, signature and address, and renews the session.
func (x *exchange) stepUp(try attempt, access session.Access) (session.Grant, error) {
	ctx, a := x.r.Context(), x.api
	err := a.store.SpendNonce(ctx, try.message.Nonce, session.NonceTerms{
		Transport: try.client.Transport, Purpose: session.ForStepUp, Session: access.Session.ID, From: x.info.SourceIP,
	})
	if err != nil {
		return session.Grant{}, loginFault(err)
	}
	if err := try.verify(a.stepUpPolicy, a.now()); err != nil {
		return session.Grant{}, loginFault(err)
	}
	// A signature proves whose the message is, not that it is this session's.
	if try.message.Address != access.Session.Address {
		return session.Grant{}, loginFault(errOtherAddress)
	}
	client := try.client
	client.Device.Name = nameAfter(access.Session.Device, client.Device)
	return a.store.StepUp(ctx, access, client)
}

// nameAfter is the name of a device that takes the place of another: the same kind of device keeps the name it was given.
func nameAfter(before, now session.Device) string {
	if before.Browser == now.Browser && before.OS == now.OS && before.Class == now.Class {
		return before.Name
	}
	return now.Name
}
