package api

import (
	"log/slog"
	"net/http"
)

type refreshBody struct {
	RefreshToken *string `json:"refreshToken"`
}

// Refresh serves POST /auth/refresh: it exchanges a refresh token for new
// tokens.
func (a *API) Refresh() http.Handler {
	return handleBody(a, route{method: "POST", failed: eventRefresh}, (*exchange).refreshSession)
}

func (x *exchange) refreshSession(in refreshBody) (grantView, error) {
	text, transport, err := x.refreshToken(in.RefreshToken)
	if err != nil {
		return grantView{}, err
	}
	client, err := x.clientOver(transport)
	if err != nil {
		return grantView{}, err
	}
	if id, err := x.api.store.SessionOf(x.r.Context(), text); err == nil {
		x.concernsSession(id)
	}
	g, err := x.api.store.Refresh(x.r.Context(), text, client)
	if err != nil {
		return grantView{}, err
	}
	if err := x.recheck(g); err != nil {
		return grantView{}, err
	}
	if g.Repeated { // the store emits the event of a rotation
		x.event(eventRefresh, outcomeSuccess, slog.Bool("repeated", true))
	}
	return x.grant(g), nil
}
