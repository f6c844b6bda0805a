package session_test

import (
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

func TestHoldsToken(t *testing.T) {
	g := newWorld(t, redistest.Embedded(t)).signIn(alice, laptop)
	for _, text := range []string{
		g.AccessToken, g.RefreshToken, "Bearer " + g.AccessToken, "x=" + g.RefreshToken + "&y", g.AccessToken[:26],
		"polka_dots and " + g.AccessToken, "lka_" + g.AccessToken, "lka_short lkr_" + strings.Repeat("A", 22),
	} {
		if !session.HoldsToken(text) {
			t.Errorf("%q is not seen", text)
		}
	}
	for _, text := range []string{"", "lka_", "polka_dots", "lka_secret", "lkr_" + strings.Repeat("A", 21), "lka_ " + strings.Repeat("A", 40), "LKA_" + strings.Repeat("A", 40)} {
		if session.HoldsToken(text) {
			t.Errorf("%q looks like a token", text)
		}
	}
}
