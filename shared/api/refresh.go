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
	return endpoint[refreshBody]{
		method: http.MethodPost, failed: eventRefresh,
		serve: func(x *exchange, in refreshBody) (any, error) {
			text, transport, err := x.refresh(in.RefreshToken)
			if err != nil {
				return nil, err
			}
			client, err := x.clientOver(transport)
			if err != nil {
				return nil, err
			}
			if id, err := a.store.SessionOf(x.r.Context(), text); err == nil {
				x.concernsSession(id)
			}
			g, err := a.store.Refresh(x.r.Context(), text, client)
			if err != nil {
				return nil, err
			}
			if g.Repeated { // the store emits the event of a rotation
				x.event(eventRefresh, outcomeSuccess, slog.Bool("repeated", true))
			}
			return x.grant(g), nil
		},
	}.handler(a)
}
