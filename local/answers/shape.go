package answers

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// shape returns a text that is the same for answers that are not distinct.
func (a Answer) shape() string {
	var b strings.Builder
	fmt.Fprintln(&b, a.Method, formOfPath(a.Path), a.Status, form(a.SentType), a.Skipped)
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		fmt.Fprintln(&b, name, len(a.Header[name]), form(strings.Join(a.Header[name], "\n")))
	}
	fmt.Fprintln(&b, formOfBody(a.Body))
	if a.Status < 400 { // only of these the request counts
		fmt.Fprintln(&b, formOfBody(a.Sent), form(a.Query))
		for _, name := range slices.Sorted(maps.Keys(a.Asked)) {
			fmt.Fprintln(&b, name, form(strings.Join(a.Asked[name], "\n")))
		}
	}
	return b.String()
}

// formOfPath keeps the segments that can be part of a route.
func formOfPath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = form(segment)
	}
	return strings.Join(segments, "/")
}

func formOfBody(text string) string {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return form(text)
	}
	return formOf(value)
}

// formOf returns the form of a JSON value. Of an array it has each form once.
func formOf(value any) string {
	switch value := value.(type) {
	case map[string]any:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			// A detail is text for people: no schema tells two apart.
			if name == "detail" || name == "title" {
				value[name] = ""
			}
			members = append(members, name+":"+formOf(value[name]))
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		forms := map[string]bool{}
		for _, element := range value {
			forms[formOf(element)] = true
		}
		return "[" + strings.Join(slices.Sorted(maps.Keys(forms)), ",") + "]"
	case string:
		return form(value)
	case float64:
		return fmt.Sprintf("number:%t:%t:%t", value < 0, value == 0, value == math.Trunc(value))
	}
	return fmt.Sprint(value) // true, false or null
}

// form keeps a short text in small letters, such as a code. Of any other it
// keeps which kinds of words come in which order. Of a word that is neither
// letters nor digits, such as an id, it keeps the length.
func form(text string) string {
	if len(text) <= 32 && code.MatchString(text) {
		return text
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		switch {
		case digits.MatchString(w):
			return "0"
		case letters.MatchString(w):
			return "a"
		}
		return fmt.Sprint("x", len(w))
	})
}

var (
	code    = regexp.MustCompile(`^[a-z_.:/ ;=-]*$`)
	word    = regexp.MustCompile(`[\pL\pN_+=-]+`)
	digits  = regexp.MustCompile(`^\pN+$`)
	letters = regexp.MustCompile(`^\pL+$`)
)
