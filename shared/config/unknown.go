package config

import (
	"slices"
	"strings"
)

// foreign are variables that begin like ours and belong to somebody else: a
// desktop on Linux sets this one.
var foreign = []string{"SESSION_MANAGER"}

// Unknown returns a sentence for each of those environment variables that looks
// like a variable of [Variables] but is not one: one that is nearly spelt like
// one, or begins like several of them. The environment is shared with others,
// so such a variable is no reason not to start.
func Unknown(names []string) []string {
	var problems []string
	for _, name := range slices.Sorted(slices.Values(names)) {
		if isVariable(name) || slices.Contains(foreign, name) {
			continue
		}
		if nearest := nearestTo(name); nearest != "" {
			problems = append(problems, name+" is not a variable: did you mean "+nearest+"?")
		} else if hasOurPrefix(name) {
			problems = append(problems, name+
				" is not a variable and has no effect: docs/configuration.md lists all")
		}
	}
	return problems
}

func isVariable(name string) bool {
	return slices.ContainsFunc(variables, func(v variable) bool { return v.name == name })
}

// nearestTo returns the variable that a name is a misspelling or a part of, or
// "". A name of one word, such as PORTS, is anybody's.
func nearestTo(name string) string {
	if !strings.Contains(name, "_") {
		return ""
	}
	best, least := "", len(name)
	most := len(name) / 5
	for _, v := range variables {
		if !mayBeNear(name, v.name, most) {
			continue
		}
		if d := distance(name, v.name); d < least && d <= most {
			best, least = v.name, d
		}
	}
	if best != "" || !hasOurPrefix(name) {
		return best
	}
	for _, v := range variables {
		if strings.HasPrefix(v.name, name) || strings.HasPrefix(name, v.name) {
			return v.name
		}
	}
	return ""
}

// mayBeNear reports whether a comparison is worth its time, which every cold
// start of a function would take. It leaves out a name whose first two letters
// are both wrong.
func mayBeNear(a, b string, most int) bool {
	return len(a)-len(b) <= most && len(b)-len(a) <= most && (a[0] == b[0] || a[1] == b[1])
}

// hasOurPrefix reports whether a name begins like several variables, such as
// with REDIS_, or with the first two words of one, such as WALLET_RECHECK_. A
// single word, such as MAX_, would be anybody's.
func hasOurPrefix(name string) bool {
	prefix, _, found := strings.Cut(name, "_")
	same := 0
	for _, v := range variables {
		first, rest, _ := strings.Cut(v.name, "_")
		second, _, more := strings.Cut(rest, "_")
		if more && strings.HasPrefix(name, first+"_"+second+"_") {
			return true
		}
		if first == prefix {
			same++
		}
	}
	return found && same > 1
}

// distance returns how many letters must be inserted, deleted, replaced or
// swapped with the next to make b of a.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := before
		before, row = row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(before[j]+cost, before[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], last[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
