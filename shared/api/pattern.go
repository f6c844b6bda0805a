package api

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first needed. A function needs few of them, and compiling
// all would take half a millisecond of every cold start.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
