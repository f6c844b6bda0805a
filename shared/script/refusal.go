package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/lazyregexp"
)

// unavailable wraps in [ErrUnavailable] every error that is not known to be a
// defect of this code. A server that refuses for a reason that nobody thought of
// is an outage: it is for the operator to repair, and a client may retry.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) || isDefect(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// isDefect reports whether an error is a reply that only a mistake in this code
// can cause, or data that this code did not write.
func isDefect(err error) bool {
	if !isReply(err) {
		return false
	}
	text := innermost(err.Error())
	begins := func(d string) bool { return strings.HasPrefix(text, d) }
	return slices.ContainsFunc(defects, begins) ||
		strings.Contains(text, "don't hash to the same slot")
}

// defects are how the replies to a mistake begin, without ERR. Redis and Valkey
// differ in some, and so do their versions.
var defects = []string{
	// A script does not compile, or ends in an error of Lua.
	"Error compiling script", "user_script:", "reached lua stack limit",
	// A command does not exist, or not with these arguments.
	"unknown command", "Unknown command", "Unknown Redis command",
	"unknown subcommand", "Unknown subcommand",
	"wrong number of arguments", "Wrong number of args", "Please specify at least one argument",
	"Lua redis", "Command arguments must be", "Number of keys can't be", "syntax error",
	"value is", "min or max", "hash value is", "increment", "decrement", "invalid expire time",
	"index out of range", "offset is out of range", "string exceeds maximum", "no such key",
	"GT and LT options", "GT, LT, and/or NX options", "NX and XX", "XX and NX",
	// A value has another type.
	"WRONGTYPE",
	// No script may do this, whoever runs it.
	"This Redis command is not allowed from script", "Write commands ",
	// A key is in another slot than the others, or not declared.
	"CROSSSLOT", "Script attempted to access keys that do", "Unable to execute command",
	// EVAL should have followed EVALSHA.
	"NOSCRIPT",
}

// wrapping matches what a server puts before the reply to a command in a script.
// Redis did so up to 6.2, where the script itself can add a second position.
var wrapping = lazyregexp.New(`^(?:Error running script \(call to f_[0-9a-f]+\): )?` +
	`(?:@user_script: ?\d+: )*-?`)

// innermost returns an error reply without what wraps it, and without ERR.
func innermost(text string) string {
	text = strings.TrimPrefix(text, "ERR ")
	return strings.TrimPrefix(text[len(wrapping().FindString(text)):], "ERR ")
}
