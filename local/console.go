package main

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"latchkey/local/page"
	"latchkey/shared/api"
	"latchkey/shared/config"
	"latchkey/shared/console"
	"latchkey/shared/token"
)

// adminPath is where the console has the throw-away admin sign.
const adminPath = "/throw-away-admin"

// The meta elements that tell the console of the throw-away admin.
const (
	addressMeta = "throw-away-address"
	signerMeta  = "throw-away-signer"
)

// newThrowAwayAdmin generates a wallet for the console, and makes its account
// an admin of this server. It returns nil if the server has admins, or data
// that outlives it, or if SIWE_DOMAINS is set: only without it, requests for
// hosts that are not of this machine are refused.
func newThrowAwayAdmin(cfg *config.Config) (*page.ThrowAway, error) {
	if len(cfg.API.Admins) > 0 || cfg.Redis.Host != "" || !cfg.API.AnyLocalPage {
		return nil, nil
	}
	wallet, err := page.NewThrowAway(adminPath, "/console", time.Now)
	if err != nil {
		return nil, err
	}
	cfg.API.Admins = []token.Account{token.KeyAccount(wallet.Address())}
	return wallet, nil
}

// withThrowAwayAdmin serves the wallet, if there is one, and everything else
// with next.
func withThrowAwayAdmin(next http.Handler, admin *page.ThrowAway) http.Handler {
	if admin == nil {
		return next
	}
	return admin.Handler(next)
}

// newConsole returns the admin console of this server.
func newConsole(cfg config.Config, admin *page.ThrowAway, log *slog.Logger) *console.Handler {
	own := console.Config{
		Origin:  consoleOrigin(cfg),
		Domains: cfg.API.Domains, AllowedOrigins: cfg.API.AllowedOrigins,
	}
	if host, isLocal := api.LocalPage(own.Origin); isLocal && cfg.API.AnyLocalPage {
		own.Domains, own.AllowedOrigins = []string{host}, nil
	}
	if admin != nil {
		own.Meta = map[string]string{addressMeta: admin.Address().Hex(), signerMeta: adminPath}
	}
	return console.New(own, log)
}

// consoleOrigin returns the console's origin. Browsers get it over http, unless
// only https is allowed, which is then that of a proxy.
func consoleOrigin(cfg config.Config) string {
	plain, secure := "http://"+cfg.Console, "https://"+cfg.Console
	allowed := cfg.API.AllowedOrigins
	if !slices.Contains(allowed, plain) && slices.Contains(allowed, secure) {
		return secure
	}
	return plain
}
