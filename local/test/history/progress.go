package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Add adds the progress of another driver.
func (t *Progress) Add(other Progress) {
	t.Histories += other.Histories
	t.Lost += other.Lost
	t.Repeated += other.Repeated
	if t.Operations == nil {
		t.Operations, t.Answers = map[Kind]int{}, map[string]int{}
	}
	for kind, n := range other.Operations {
		t.Operations[kind] += n
	}
	for answer, n := range other.Answers {
		t.Answers[answer] += n
	}
}

// String returns the progress in one line, for people.
func (t Progress) String() string {
	total := 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(t.Operations)) {
		total += t.Operations[kind]
		kinds = append(kinds, fmt.Sprintf("%v %d", kind, t.Operations[kind]))
	}
	return fmt.Sprintf("histories %d, operations %d (%s), answers lost %d, attempts made again %d",
		t.Histories, total, strings.Join(kinds, ", "), t.Lost, t.Repeated)
}
