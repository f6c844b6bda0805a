package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"latchkey/shared/session"
)

// maxPreferences is the maximum size of an account's preferences as JSON
// without space, in bytes.
const maxPreferences = 8 << 10

// Preferences serves GET /api/preferences: the JSON object that the account has
// stored, with its version as ETag.
func (a *API) Preferences() http.Handler {
	return handle(a, route{method: "GET", session: withPreferences}, (*exchange).getPreferences)
}

func (x *exchange) getPreferences() (json.RawMessage, error) {
	return x.showPreferences(x.preferences), nil
}

// ChangePreferences serves PATCH /api/preferences: it applies a JSON Merge
// Patch to the versions that If-Match names, and answers with the result.
func (a *API) ChangePreferences() http.Handler {
	return handleBody(a, route{
		method: "PATCH", session: withPreferences,
	}, (*exchange).changePreferences)
}

func (x *exchange) changePreferences(patch mergePatch) (json.RawMessage, error) {
	want, err := conditions(x.r.Header)
	switch {
	case err != nil:
		return nil, err
	case want.Absent:
		return nil, invalid("If-None-Match is not supported here: use If-Match")
	case len(want.Versions) == 0:
		return nil, fail(codeUnconditional,
			"If-Match is missing: send the ETag of the version to change, or *")
	}
	changed, err := x.patchPreferences(patch, want.Versions)
	if err != nil {
		return nil, err
	}
	return x.showPreferences(changed), nil
}

func (x *exchange) showPreferences(p session.Preferences) json.RawMessage {
	x.w.Header().Set("ETag", etag(p.Version))
	return p.JSON
}

// changeTries is how often a patch that accepts any version is applied, if
// others change the preferences at the same time.
const changeTries = 16

// patchPreferences applies a patch to one of the wanted versions. If the patch
// changes nothing, nothing is written. It returns [session.ErrPrecondition] if
// the version is not among them.
func (x *exchange) patchPreferences(patch mergePatch, want []string) (session.Preferences, error) {
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
			return session.Preferences{}, fail(codeTooLarge, "the preferences would be over 8 KiB")
		}
		stored, err := x.api.store.SetPreferences(
			x.r.Context(), x.access, current, changed, x.actor())
		if !errors.Is(err, session.ErrPrecondition) {
			return stored, err
		}
		if try == changeTries {
			// Any version is accepted, but every try met a new one.
			return session.Preferences{}, session.ErrUnavailable
		}
		current = stored
	}
}
