package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"latchkey/shared/session"
)

// maxPreferences is how much an account may store, as it is sent without space.
const maxPreferences = 8 << 10

// Preferences serves GET /api/preferences.
func (a *API) Preferences() http.Handler {
	return endpoint[nothing]{method: http.MethodGet, session: withPreferences, serve: func(x *exchange, _ nothing) (any, error) {
		return x.showPreferences(x.preferences), nil
	}}.handler(a)
}

// ChangePreferences serves PATCH /api/preferences.
func (a *API) ChangePreferences() http.Handler {
	return endpoint[mergePatch]{method: http.MethodPatch, session: withPreferences, serve: func(x *exchange, patch mergePatch) (any, error) {
		want, err := conditions(x.r.Header)
		switch {
		case err != nil:
			return nil, err
		case want.Absent:
			return nil, invalid("If-None-Match: has no meaning here; preferences are always there")
		case len(want.Versions) == 0:
			return nil, fail(codeUnconditional, "send the version that you change as If-Match, or *")
		}
		changed, err := x.changePreferences(patch, want.Versions)
		if err != nil {
			return nil, err
		}
		return x.showPreferences(changed), nil
	}}.handler(a)
}

func (x *exchange) showPreferences(p session.Preferences) any {
	x.w.Header().Set("ETag", etag(p.Version))
	return json.RawMessage(p.JSON)
}

// changeTries is how often a patch of whatever is stored is applied anew, where others change it at the same time.
const changeTries = 16

// changePreferences applies a patch to one of the wanted versions. Nothing is written where it changes nothing.
func (x *exchange) changePreferences(patch mergePatch, want []string) (session.Preferences, error) {
	current := x.preferences
	for try := 1; ; try++ {
		if !slices.Contains(want, "*") && !slices.Contains(want, current.Version) {
			return session.Preferences{}, session.ErrPrecondition
		}
		changed, err := patch.apply(current.JSON)
		if err != nil || bytes.Equal(changed, current.JSON) {
			return current, err
		}
		if len(changed) > maxPreferences {
			return session.Preferences{}, fail(codeTooLarge, "preferences may have 8 KiB")
		}
		stored, err := x.api.store.SetPreferences(x.r.Context(), x.access, current, changed, x.actor())
		if !errors.Is(err, session.ErrPrecondition) {
			return stored, err
		}
		if try == changeTries {
			return session.Preferences{}, session.ErrUnavailable // whatever is stored would do, it is only never the same
		}
		current = stored
	}
}
