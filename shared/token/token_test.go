package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"latchkey/local/test/tokentest"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

func TestHasKind(t *testing.T) {
	for _, text := range []string{"lka_", "lkr_x", "lkt_x", "lka_lkr_"} {
		if !token.HasKind(text) {
			t.Errorf("%q begins like no token", text)
		}
	}
	for _, text := range []string{"", "lka", "LKA_x", " lka_x", "xlkr_x", "lkb_x", "lks_x", "\"lka_x\""} {
		if token.HasKind(text) {
			t.Errorf("%q begins like a token", text)
		}
	}
}

func TestContainedIn(t *testing.T) {
	ring, key := newRing(t)
	access, refresh := tokentest.Mint(ring, key.ID, "lka_"), tokentest.Mint(ring, key.ID, "lkr_")
	for _, text := range []string{
		access, refresh, "Bearer " + access, "x=" + refresh + "&y", access[:26],
		"polka_dots and " + access, "lka_" + access, "lka_short lkr_" + strings.Repeat("A", 22),
		"x lkt_" + strings.Repeat("A", 22), "?q=" + token.NewServiceKey(), "walks_home with " + token.NewServiceKey() + "!",
	} {
		if !token.ContainedIn(text) {
			t.Errorf("%q is not seen", text)
		}
	}
	for _, text := range []string{"", "lka_", "polka_dots", "lka_secret", "lkr_" + strings.Repeat("A", 21), "lka_ " + strings.Repeat("A", 40), "LKA_" + strings.Repeat("A", 40), "talks_about_some_things_that_matter", "lks_" + strings.Repeat("A", 42)} {
		if token.ContainedIn(text) {
			t.Errorf("%q looks like a token", text)
		}
	}
}

// printings are all the ways in which a token could end up in a log or an answer.
func printings(t *testing.T, value any) map[string]string {
	t.Helper()
	all := map[string]string{"JSON": "", "slog JSON": "", "slog text": ""}
	for _, verb := range "vTtbcdoOxXUeEfFgGsqp" {
		for _, flag := range []string{"", "+", "#", "-20", "020", " "} {
			if verb == 'T' || verb == 'p' {
				continue // package fmt answers these by itself: the type, and an error
			}
			format := "%" + flag + string(verb)
			all[format] = fmt.Sprintf(format, value)
		}
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	all["JSON"] = string(encoded)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", value)
	all["slog JSON"] = log.String()
	log.Reset()
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", value)
	all["slog text"] = log.String()
	all["error"] = fmt.Errorf("reading %v: %w", value, errors.New("x")).Error()
	return all
}

// However a token is printed, only its kind is shown: also within a pair, behind a
// pointer and in a list.
func TestToken_printsAsItsKind(t *testing.T) {
	ring, key := newRing(t)
	refresh := token.NewRefresh(key.ID, token.ID{User: token.UserID{1, 2, 3}, Session: [16]byte{4, 5, 6}}, 7)
	for how, printed := range printings(t, refresh) {
		if how[0] == '%' && printed != "lkr_" {
			t.Errorf("%s prints %q, want the kind alone", how, printed)
		}
	}
	text, err := refresh.Encode(ring)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[4:])
	if err != nil {
		t.Fatal(err)
	}
	piece := raw[45:49] // of the secret
	var hidden []string
	for _, verb := range []string{"%d", "%x", "%X", "%o", "%b", "%q", "%#v", "%s"} {
		hidden = append(hidden, strings.Trim(fmt.Sprintf(verb, piece), "[]"))
	}
	hidden = append(hidden, strings.TrimSuffix(strings.TrimPrefix(hidden[6], "[]byte{"), "}"), strings.ReplaceAll(hidden[0], " ", ","), text[70:80])
	for name, value := range map[string]any{
		"token": refresh, "pointer": &refresh, "pair": token.Pair{Access: refresh, Refresh: refresh}, "list": []token.Token{refresh},
		"map": map[string]token.Token{"x": refresh}, "struct": struct{ Refresh token.Token }{refresh},
	} {
		for how, printed := range printings(t, value) {
			for _, secret := range hidden {
				if strings.Contains(printed, secret) {
					t.Errorf("%s with %s prints %q", name, how, printed)
				}
			}
			if how[0] == '%' && !strings.Contains(printed, "lkr_") {
				t.Errorf("%s with %s prints %q, without the kind", name, how, printed)
			}
		}
	}
}

// A token of a key that the ring does not have is invalid, and says which key it is.
func TestParse_unknownKey(t *testing.T) {
	ring, key := newRing(t)
	secret := bytes.Repeat([]byte("another."), 8)
	other := seal.EnvironmentKey(secret, secret[:32])
	elsewhere, err := seal.NewRing("fuzz", secret, other)
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.Parse(ring, token.Access, tokentest.Mint(elsewhere, other.ID, "lka_"))
	if !errors.Is(err, token.ErrUnknownKey) || !errors.Is(err, token.ErrInvalid) || got.KeyID() != other.ID || got.ID() != (token.ID{}) {
		t.Errorf("got the key %v of %v, %v", got.KeyID(), got.ID(), err)
	}
	if _, err := token.Parse(ring, token.Refresh, tokentest.Mint(ring, key.ID, "lka_")); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("an access token as a refresh token: %v", err)
	}
}
