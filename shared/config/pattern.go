package config

import (
	"regexp"
	"sync"
)

// pattern returns a function that compiles a regular expression on its first
// call. A function checks few values, and compiling all expressions would take a
// millisecond of every cold start.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
