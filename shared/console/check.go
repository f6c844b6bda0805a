package console

import (
	"fmt"
	"slices"
	"strings"
)

// problem says in one sentence why the console cannot sign in, and what to set;
// "" if it can.
func (c Config) problem() string {
	_, host, _ := strings.Cut(c.Origin, "://")
	switch {
	case host == "":
		return "The console does not know its host: set CONSOLE (parameter Console)" +
			" to the host name of the API, such as api.example.com."
	case !slices.Contains(c.Domains, host):
		return lacks(host, "SIWE_DOMAINS", "SiweDomains", host, c.Domains)
	case len(c.AllowedOrigins) > 0 && !slices.Contains(c.AllowedOrigins, c.Origin):
		return lacks(host, "ALLOWED_ORIGINS", "Origins", c.Origin, c.AllowedOrigins)
	}
	return ""
}

// lacks says that a variable must have one more item.
func lacks(host, variable, parameter, item string, items []string) string {
	return fmt.Sprintf("The console is at %s, and %s does not have %s:"+
		" set %s (parameter %s) to %s.", host, variable, item,
		variable, parameter, strings.Join(append(slices.Clone(items), item), ","))
}
