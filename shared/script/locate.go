package script

import (
	"fmt"
	"strconv"

	"latchkey/shared/lazyregexp"
)

// errorLine finds the line of a script in an error reply. Redis calls the
// script user_script. The embedded engine calls it <string> or nothing, and may
// name a line of its own first.
var errorLine = lazyregexp.New(`(?:user_script:|<string> line:|` +
	`\(new function\): (?::\d+: Script attempted .*? in function <:\d+>\s+)?:)(\d+)`)

// locate adds to an error reply of a script the file and line that it came
// from. It returns every other error as it is.
func (s *Script) locate(err error) error {
	if !isReply(err) {
		return err
	}
	found := errorLine().FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	n, _ := strconv.Atoi(found[1])
	lines := s.Source().Lines
	if n < 1 || n > len(lines) || lines[n-1].File == "" {
		return err
	}
	return fmt.Errorf("%w (%s:%d)", err, lines[n-1].File, lines[n-1].Number)
}
