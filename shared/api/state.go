package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"latchkey/shared/lazyregexp"
	"latchkey/shared/session"
)

type stateView struct {
	Keys  []stateKeyView `json:"keys"`
	Used  int            `json:"used"`
	Quota int            `json:"quota"`
	Next  string         `json:"next,omitempty"`
}

type stateKeyView struct {
	Key       string `json:"key"`
	Size      int    `json:"size"`
	ExpiresAt string `json:"expiresAt"`
}

// ListState serves GET /api/state: one page of the keys of the caller's
// session, and how much of the quota they use, in bytes.
func (a *API) ListState() http.Handler {
	return handle(a, route{method: "GET", session: member, query: paging}, (*exchange).listState)
}

func (x *exchange) listState() (stateView, error) {
	list, err := x.api.store.ListState(x.r.Context(), x.access)
	if err != nil {
		return stateView{}, err
	}
	shown, next, err := pageFrom(list.Items, x.page, func(i session.StateItem) string { return i.Key })
	view := stateView{Keys: []stateKeyView{}, Used: list.Used, Quota: list.Quota, Next: next}
	for _, item := range shown {
		view.Keys = append(view.Keys, stateKeyView{item.Key, item.Size, timestamp(item.Expires)})
	}
	return view, err
}

// GetState serves GET /api/state/{key}: the value of a key, with its version as
// ETag.
func (a *API) GetState() http.Handler {
	return handle(a, route{
		method: "GET", session: member, target: (*exchange).readStateKey,
	}, (*exchange).getState)
}

func (x *exchange) getState() (json.RawMessage, error) {
	item, err := x.api.store.State(x.r.Context(), x.access, x.target.key)
	if err != nil {
		return nil, err
	}
	x.w.Header().Set("ETag", etag(item.Version))
	return item.Value, nil
}

// PutState serves PUT /api/state/{key}: it stores a JSON value, under the
// conditions of If-Match and If-None-Match.
func (a *API) PutState() http.Handler {
	return handleBody(a, route{
		method: "PUT", session: member, query: []string{"ttl"}, target: (*exchange).readStateKey,
	}, (*exchange).putState)
}

func (x *exchange) putState(value rawJSON) (nothing, error) {
	ttl, err := lifetime(x.query)
	if err != nil {
		return nothing{}, err
	}
	want, err := conditions(x.r.Header)
	if err != nil {
		return nothing{}, err
	}
	item, err := x.api.store.PutState(x.r.Context(), x.access, x.target.key, value, ttl, want)
	if err == nil {
		x.w.Header().Set("ETag", etag(item.Version))
	}
	return nothing{}, err
}

// DeleteState serves DELETE /api/state/{key}, under the conditions of If-Match
// and If-None-Match.
func (a *API) DeleteState() http.Handler {
	return handle(a, route{
		method: "DELETE", session: member, target: (*exchange).readStateKey,
	}, (*exchange).deleteState)
}

func (x *exchange) deleteState() (nothing, error) {
	want, err := conditions(x.r.Header)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, x.api.store.DeleteState(x.r.Context(), x.access, x.target.key, want)
}

var stateKey = lazyregexp.New(`^[A-Za-z0-9._-]{1,` + strconv.Itoa(session.MaxStateKey) + `}$`)

// readStateKey reads the key in the path.
func (x *exchange) readStateKey() error {
	key := x.r.PathValue("key")
	if !stateKey().MatchString(key) {
		return invalid("key must be 1 to 64 of a-z A-Z 0-9 . _ -")
	}
	x.target.key = key
	return nil
}

var wholeSeconds = lazyregexp.New(`^[1-9][0-9]{0,8}$`)

// lifetime returns the parameter ttl, or 0 if it is absent.
func lifetime(query url.Values) (time.Duration, error) {
	if !query.Has("ttl") {
		return 0, nil
	}
	if !wholeSeconds().MatchString(query.Get("ttl")) {
		return 0, invalid("ttl: must be whole seconds, from 1 to 999999999")
	}
	n, err := strconv.Atoi(query.Get("ttl"))
	return time.Duration(n) * time.Second, err
}
