package api

import "unicode"

// maxDeviceName is the maximum size of a name for a device, in bytes.
const maxDeviceName = 64

// checkDeviceName refuses a name that is too long or not visible.
func checkDeviceName(name string) error {
	if len(name) > maxDeviceName || !isVisible(name) {
		return invalid("deviceName must be up to 64 bytes of visible text")
	}
	return nil
}

// isVisible reports whether a text reads as what it is. It is false for a text
// with control or formatting characters, with line or paragraph separators or
// with unassigned code points, and for one that shows nothing. A joiner or a
// variation selector is text where it changes the character before it, as in
// many emoji and in Persian.
func isVisible(text string) bool {
	var before runeKind
	shows := false
	for _, r := range text {
		kind := runeKindOf(r)
		if !kind.mayFollow(before) {
			return false
		}
		before, shows = kind, shows || kind == visibleRune
	}
	return shows && before != joinerRune
}

// runeKind says how a character of a name shows.
type runeKind byte

const (
	blankRune    runeKind = iota // shows nothing; also the start of the text
	visibleRune                  // shows by itself
	selectorRune                 // a variation selector: chooses a form of the one before
	joinerRune                   // joins two characters, or keeps them apart
	hiddenRune                   // does not belong into a name
)

func runeKindOf(r rune) runeKind {
	const nonJoiner, joiner, brailleBlank = '\u200c', '\u200d', '\u2800'
	switch {
	case r == nonJoiner, r == joiner:
		return joinerRune
	case !unicode.IsGraphic(r):
		return hiddenRune
	case unicode.Is(unicode.Variation_Selector, r):
		return selectorRune
	case r == brailleBlank, unicode.IsSpace(r), unicode.Is(unicode.Zs, r),
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r): // such as Hangul fillers
		return blankRune
	}
	return visibleRune
}

// mayFollow reports whether a character may follow another one.
func (k runeKind) mayFollow(before runeKind) bool {
	switch k {
	case hiddenRune:
		return false
	case selectorRune:
		return before == visibleRune
	case joinerRune:
		return before == visibleRune || before == selectorRune
	case blankRune:
		return before != joinerRune
	}
	return true
}
