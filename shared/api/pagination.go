package api

import (
	"net/url"
	"slices"
	"strconv"
)

// page selects a part of a list: up to limit items, after the one that the
// cursor names.
type page struct {
	limit  int
	cursor string // empty: from the start
}

// defaultLimit and maxLimit bound how many items one answer has.
const (
	defaultLimit = 50
	maxLimit     = 100
)

// paging has the names of the parameters that pageOf reads.
var paging = []string{"limit", "cursor"}

// pageOf reads which part of a list a query selects.
func pageOf(query url.Values) (page, error) {
	p := page{limit: defaultLimit, cursor: query.Get("cursor")}
	if query.Has("cursor") && p.cursor == "" {
		return page{}, badCursor()
	}
	if text := query.Get("limit"); query.Has("limit") {
		n, err := strconv.Atoi(text)
		// Compared as text too, so that "01" and "+1" are refused.
		if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != text {
			return page{}, invalid("limit must be 1 to 100")
		}
		p.limit = n
	}
	return p, nil
}

// pageFrom returns one page of a complete list and the cursor of the next page,
// which is empty if there are no more items. A cursor is the name of the last
// item on its page.
func pageFrom[T any](all []T, p page, name func(T) string) ([]T, string, error) {
	if p.cursor != "" {
		i := slices.IndexFunc(all, func(item T) bool { return name(item) == p.cursor })
		if i < 0 {
			return nil, "", badCursor()
		}
		all = all[i+1:]
	}
	if len(all) <= p.limit {
		return all, "", nil
	}
	return all[:p.limit], name(all[p.limit-1]), nil
}

func badCursor() error {
	return invalid(`cursor is not valid: use the "next" of the previous page`)
}
