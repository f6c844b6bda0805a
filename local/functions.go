package main

import (
	"net/http"

	"latchkey/shared/api"
)

// The functions that serve no route of [api.API]. A schedule calls one, one
// guards other APIs, one serves the description of this API, and one the admin
// console.
const (
	sweeper      = "SweepSessionsFunction"
	guard        = "AuthorizerFunction"
	description  = "GetOpenapiFunction"
	adminConsole = "ServeConsoleFunction"
)

// handlers maps the logical id of each function of the template to its route.
// The main of each folder under functions/ names the same route.
var handlers = map[string]func(*api.API) http.Handler{
	"CheckHealthFunction":       (*api.API).Health,
	"IssueNonceFunction":        (*api.API).Nonce,
	"LogInFunction":             (*api.API).Login,
	"RefreshSessionFunction":    (*api.API).Refresh,
	"LogOutFunction":            (*api.API).Logout,
	"GetProfileFunction":        (*api.API).Profile,
	"StepUpFunction":            (*api.API).StepUp,
	"IssueTicketFunction":       (*api.API).Ticket,
	"ValidateSessionFunction":   (*api.API).Validate,
	"EraseProfileFunction":      (*api.API).EraseProfile,
	"GetPreferencesFunction":    (*api.API).Preferences,
	"ChangePreferencesFunction": (*api.API).ChangePreferences,
	"ListStateFunction":         (*api.API).ListState,
	"GetStateFunction":          (*api.API).GetState,
	"PutStateFunction":          (*api.API).PutState,
	"DeleteStateFunction":       (*api.API).DeleteState,
	"ListSessionsFunction":      (*api.API).Sessions,
	"EndSessionFunction":        (*api.API).EndSession,
	"EndOtherSessionsFunction":  (*api.API).EndOtherSessions,
	"ListActivityFunction":      (*api.API).Activity,
	"CountSessionsFunction":     (*api.API).CountSessions,
	"ListUsersFunction":         (*api.API).Users,
	"GetUserFunction":           (*api.API).User,
	"SetRolesFunction":          (*api.API).SetRoles,
	"BlockUserFunction":         (*api.API).BlockUser,
	"UnblockUserFunction":       (*api.API).UnblockUser,
	"EraseUserFunction":         (*api.API).EraseUser,
	"EndUserSessionsFunction":   (*api.API).EndUserSessions,
	"RevokeSessionFunction":     (*api.API).RevokeSession,
	"ListUserActivityFunction":  (*api.API).UserActivity,
}
