package api

import "net/http"

type profileView struct {
	User        userView       `json:"user"`
	Session     sessionView    `json:"session"`
	Preferences map[string]any `json:"preferences"`
}

// Profile serves GET /api/profile.
func (a *API) Profile() http.Handler {
	return endpoint[nothing]{method: http.MethodGet, serve: func(x *exchange, _ nothing) (any, error) {
		token, transport, err := x.access()
		if err != nil {
			return nil, err
		}
		client, err := x.client(transport)
		if err != nil {
			return nil, err
		}
		opened, err := a.store.Read(x.r.Context(), token, client)
		if err != nil {
			return nil, err
		}
		return profileView{
			User: viewUser(opened.User), Session: currentSession(opened.Session), Preferences: map[string]any{},
		}, nil
	}}.handler(a)
}
