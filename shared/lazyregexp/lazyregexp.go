// Package lazyregexp compiles regular expressions on first use. A function needs
// few of them, and compiling all would add a millisecond to every cold start.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles a regular expression on its first call.
func New(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
