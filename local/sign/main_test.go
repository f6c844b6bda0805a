package main // run is not exported: a command has no other package

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

// try runs one command and returns what it printed.
func try(t *testing.T, input string, args ...string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	if err := run(args, strings.NewReader(input), &o, &e); err != nil {
		t.Fatalf("sign %v: %v", args, err)
	}
	return o.String(), e.String()
}

// keyFile holds the key of web3.js' documentation of sign.
func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	text := "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const account = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"

func TestMessage_vector(t *testing.T) {
	got, _ := try(t, "Some data", "message", "-key", keyFile(t))
	want := "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c\n"
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestAddress(t *testing.T) {
	if got, _ := try(t, "", "address", "-key", keyFile(t)); got != account+"\n" {
		t.Errorf("got %s", got)
	}
}

func TestNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	first, warning := try(t, "", "new", "-key", path)
	if !strings.Contains(warning, "THROW-AWAY") {
		t.Errorf("no warning: %q", warning)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, _ := try(t, "", "address", "-key", path); again != first {
		t.Errorf("the key is %s, new said %s", again, first)
	}
	if err := run([]string{"new", "-key", path}, nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("a key was overwritten")
	}
}

type body struct{ Message, Signature, Transport string }

func logIn(t *testing.T, offer string, args ...string) body {
	t.Helper()
	text, _ := try(t, offer, append([]string{"login", "-key", keyFile(t)}, args...)...)
	var b body
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	signature, err := wallet.ParseSignature(b.Signature)
	if err != nil {
		t.Fatal(err)
	}
	message, err := siwe.Parse([]byte(b.Message))
	if err != nil {
		t.Fatalf("%q: %v", b.Message, err)
	}
	if err := wallet.VerifyEOA([]byte(b.Message), signature, message.Address); err != nil {
		t.Error(err)
	}
	return b
}

const offered = `{"nonce":"abcdefgh12345678","domain":"localhost:3000","uri":"http://localhost:3000",
	"version":"1","statement":"Sign in.","chainIds":[8453,1]`

func TestLogin_composesTheMessage(t *testing.T) {
	b := logIn(t, offered+"}")
	message, _ := siwe.Parse([]byte(b.Message))
	issued := message.IssuedAt.Instant()
	want := "localhost:3000 wants you to sign in with your Ethereum account:\n" + account + "\n\nSign in.\n\n" +
		"URI: http://localhost:3000\nVersion: 1\nChain ID: 8453\nNonce: abcdefgh12345678\nIssued At: " + message.IssuedAt.String()
	if b.Message != want {
		t.Errorf("got %q", b.Message)
	}
	if age := time.Since(issued); age < 0 || age > time.Minute {
		t.Errorf("issued %s ago", age)
	}
	if b.Transport != "bearer" {
		t.Errorf("transport %q", b.Transport)
	}
}

func TestLogin_signsTheServersMessageAsItIs(t *testing.T) {
	message := logIn(t, offered+"}").Message
	quoted, _ := json.Marshal(message)
	b := logIn(t, offered+`,"message":`+string(quoted)+"}", "-transport", "cookie")
	if b.Message != message || b.Transport != "cookie" {
		t.Errorf("got %+v", b)
	}
}

// FuzzOffer holds that whatever a server offers, what is signed is the message that is printed, for the nonce and the chain
// of the offer where the message was composed here; and that everything else is an error and prints nothing.
func FuzzOffer(f *testing.F) {
	f.Add(offered + "}")
	f.Add(offered + `,"message":"two\nlines"}`)
	f.Add(offered + `,"message":7}`)
	f.Add(`{"nonce":"n","chainIds":[]}`)
	f.Add(`{"nonce":"n","chainIds":[-1]}`)
	f.Add(`{"code":"rate_limited","detail":"too many requests"}`)
	f.Add("")
	f.Add("<html>")
	key, err := crypto.HexToECDSA(strings.Repeat("42", 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		if err := execute("login", key, "bearer", strings.NewReader(text), &out); err != nil {
			if out.Len() > 0 {
				t.Errorf("%q: %v, beside %q", text, err, out.String())
			}
			return
		}
		var got body
		var o offer
		err := errors.Join(json.Unmarshal(out.Bytes(), &got), json.NewDecoder(strings.NewReader(text)).Decode(&o))
		if err != nil || got.Transport != "bearer" {
			t.Fatalf("%q: %q, %v", text, out.String(), err)
		}
		signature, err := wallet.ParseSignature(got.Signature)
		if err != nil || wallet.VerifyEOA([]byte(got.Message), signature, address(key)) != nil {
			t.Errorf("%q: the signature of %q is %s", text, got.Message, got.Signature)
		}
		made := fmt.Sprintf("\nChain ID: %d\nNonce: %s\nIssued At: ", o.ChainIDs[0], o.Nonce)
		if o.Message != "" && got.Message != o.Message || o.Message == "" && !strings.Contains(got.Message, made) {
			t.Errorf("%q: signed %q", text, got.Message)
		}
	})
}

func TestRun_errorsSayWhatToDo(t *testing.T) {
	key := keyFile(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		args  []string
		input string
	}{
		"sign new":                         {[]string{"address", "-key", filepath.Join(t.TempDir(), "none")}, ""},
		"64 hex digits":                    {[]string{"address", "-key", broken}, ""},
		"unknown command \"frobnicate\"":   {[]string{"frobnicate", "-key", key}, ""},
		"unexpected argument \"extra\"":    {[]string{"address", "-key", key, "extra"}, ""},
		"not defined: -x":                  {[]string{"address", "-x"}, ""},
		"unavailable Redis is away":        {[]string{"login", "-key", key}, `{"code":"unavailable","detail":"Redis is away"}`},
		"the response of /auth/nonce: ":    {[]string{"login", "-key", key}, "curl: (7)"},
		"response of /auth/nonce is empty": {[]string{"login", "-key", key}, ""},
	} {
		err := run(c.args, strings.NewReader(c.input), &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("sign %v: got %v, want something of %q", c.args, err, want)
		}
	}
}

func TestRun_help(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"--help"}, {"login", "-h"}} {
		if _, errs := try(t, "", args...); !strings.Contains(errs, "THROW-AWAY") {
			t.Errorf("sign %v: %q", args, errs)
		}
	}
}
