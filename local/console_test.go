package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
)

// openPage returns the status and body of a page.
func openPage(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// metaOf returns the content of a meta element of a page, or "".
func metaOf(page, name string) string {
	m := regexp.MustCompile(`<meta name="` + name + `" content="([^"]*)">`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return m[1]
}

// askToSign asks a throw-away wallet for a signature, as a page of an origin.
func askToSign(t *testing.T, url, origin, message string) (int, map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", origin)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// Without another admin, the console signs in as one, and no other page does.
func TestConsole_throwAwayAdmin(t *testing.T) {
	s := start(t)
	if !strings.Contains(s.ready, "The admin console is at "+s.url+"/console.") {
		t.Errorf("the ready line is %q", s.ready)
	}
	status, page := openPage(t, s.url+"/console")
	address, signer := metaOf(page, "throw-away-address"), metaOf(page, "throw-away-signer")
	if status != http.StatusOK || address == "" || signer == "" {
		t.Fatalf("%d %s", status, page)
	}
	message := func() string {
		query := url.Values{"transport": {"bearer"}, "address": {address}, "chainId": {"1"}}
		_, offer := exchange(t, "GET", s.url+"/auth/nonce?"+query.Encode(), "", "")
		text, _ := offer["message"].(string)
		return text
	}
	own := message()
	otherName := strings.Replace(s.url, "localhost", "127.0.0.1", 1)
	for _, origin := range []string{"http://localhost:5173", "https://evil.example", "null", "", otherName} {
		status, answer := askToSign(t, s.url+signer, origin, own)
		if status != http.StatusForbidden || answer["code"] != "origin_not_allowed" {
			t.Errorf("a page of %q: %d %v", origin, status, answer)
		}
	}
	if status, answer := askToSign(t, s.url+"/throw-away-wallet", s.url, own); status != http.StatusForbidden {
		t.Errorf("the wallet of the page at / signs for the admin: %d %v", status, answer)
	}
	status, answer := askToSign(t, s.url+signer, s.url, own)
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	body, err := json.Marshal(map[string]any{"message": own, "signature": answer["signature"], "transport": "bearer"})
	if err != nil {
		t.Fatal(err)
	}
	status, grant := exchange(t, "POST", s.url+"/auth/login", "", string(body))
	token, _ := grant["accessToken"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("the login: %d %v", status, grant)
	}
	if status, answer := exchange(t, "GET", s.url+"/api/admin/users", token, ""); status != http.StatusOK {
		t.Errorf("the admin's call: %d %v", status, answer)
	}
	// The wallet of the page at / is nobody.
	if _, page := openPage(t, s.url+"/console"); strings.Contains(page, "throw-away-wallet") {
		t.Error("the console names the other wallet")
	}
}

// A server that has an admin, or data that outlives it, or that answers every
// Host, has no throw-away admin.
func TestConsole_noThrowAwayAdmin(t *testing.T) {
	r := redistest.Server(t)
	host, port, _ := strings.Cut(r.Addr, ":")
	for name, c := range map[string]struct {
		variables []string
		status    int
		says      string
	}{
		"an admin": {[]string{"ADMIN_ADDRESSES=0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}, 200, ""},
		"another Redis": {[]string{"REDIS_HOST=" + host, "REDIS_PORT=" + port, "REDIS_KEY_PREFIX=" + r.Prefix,
			"REDIS_USERNAME=" + r.Username, "REDIS_PASSWORD=" + r.Password}, 200, ""},
		"its own domain":  {[]string{"SIWE_DOMAINS=console.test", "CONSOLE=console.test"}, 200, ""},
		"another domain":  {[]string{"SIWE_DOMAINS=localhost:5173"}, 503, "SIWE_DOMAINS does not have localhost:"},
		"an https origin": {[]string{"SIWE_DOMAINS=a.test", "CONSOLE=a.test", "ALLOWED_ORIGINS=https://a.test"}, 200, ""},
		"a foreign origin": {[]string{"SIWE_DOMAINS=a.test", "CONSOLE=a.test", "ALLOWED_ORIGINS=https://b.test"}, 503,
			"ALLOWED_ORIGINS does not have http://a.test:"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.variables...)
			status, page := openPage(t, s.url+"/console")
			if status != c.status || !strings.Contains(page, c.says) || strings.Contains(page, "throw-away") {
				t.Errorf("%d %s", status, page)
			}
			if status, answer := askToSign(t, s.url+adminPath, s.url, "x"); status != http.StatusNotFound {
				t.Errorf("a signature: %d %v", status, answer)
			}
		})
	}
}

// What is deployed knows no throw-away admin: its page gets meta elements from
// the local server alone.
func TestConsole_onlyLocalHasTheAdmin(t *testing.T) {
	for file, imports := range importsOfFiles(t) {
		if isWithin(file, "local") {
			continue
		}
		text := read(t, file)
		for _, word := range []string{adminPath, addressMeta, signerMeta, "Meta: ", "Meta = "} {
			if strings.Contains(text, word) {
				t.Errorf("%s has %q", file, word)
			}
		}
		for _, path := range imports {
			if strings.HasPrefix(path, "latchkey/local/") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}
