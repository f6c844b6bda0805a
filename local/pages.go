package main

import (
	"log/slog"
	"strings"

	"latchkey/local/gateway"
	"latchkey/shared/api"
	"latchkey/shared/config"
)

// onThisMachine sets what only holds for a server on loopback whose data is on
// this machine too: any page here may sign in unless SIWE_DOMAINS is set, and
// cookies are named by the port, because browsers share those of all ports.
func onThisMachine(cfg *config.Config) {
	cfg.API.AnyLocalPage = cfg.LocalPages
	if cfg.OnThisMachine() {
		cfg.API.CookiePort = cfg.Port
	}
}

// gatewayOptions returns what the configuration adds to a template.
func gatewayOptions(cfg config.Config, log *slog.Logger) gateway.Options {
	opts := gateway.Options{
		AllowOrigins: cfg.API.AllowedOrigins, AllowHeaders: cfg.CORSHeaders, Log: log,
	}
	if cfg.API.AnyLocalPage {
		opts.AllowOrigin = func(origin string) bool {
			_, ok := api.LocalPage(origin)
			return ok
		}
	}
	return opts
}

// signInPages says in words which pages may sign in.
func signInPages(cfg config.Config) string {
	if cfg.API.AnyLocalPage {
		return "any page on localhost, *.localhost, 127.0.0.1 or [::1]"
	}
	return strings.Join(cfg.API.Domains, ", ")
}
