package main

import (
	"net/http"

	"latchkey/shared/api"
)

// handlers names the route behind each function of the template, by logical id. Each
// folder under functions/ has the same line in its main.
var handlers = map[string]func(*api.API) http.Handler{
	"CheckHealthFunction":    (*api.API).Health,
	"IssueNonceFunction":     (*api.API).Nonce,
	"LogInFunction":          (*api.API).Login,
	"RefreshSessionFunction": (*api.API).Refresh,
	"LogOutFunction":         (*api.API).Logout,
	"GetProfileFunction":     (*api.API).Profile,
}
