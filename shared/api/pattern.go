package api

import (
	"regexp"
	"sync"
)

// pattern returns a regular expression that is compiled on first use. A
// function needs few of them, and compiling all would add half a millisecond to
// every cold start.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
