package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example of a guarded API is served to who is signed in, as what the authorizer says they are, and to nobody any
// more the moment their session is over.
func TestMain_protected(t *testing.T) {
	w := newWallet(t)
	s := start(t, "ADMIN_ADDRESSES="+w.address)
	orders := s.url + "/protected/orders"
	if !strings.Contains(s.ready, orders) {
		t.Errorf("%q does not name %s", s.ready, orders)
	}
	if status, answer := exchange(t, "GET", orders, "", ""); status != 401 || answer["message"] != "Unauthorized" {
		t.Errorf("without a token: %d %v", status, answer)
	}
	if status, answer := exchange(t, "GET", orders, "lka_forged", ""); status != 403 || answer["message"] != "Forbidden" {
		t.Errorf("with a forged token: %d %v", status, answer)
	}
	token := w.login(s, "?transport=bearer")
	_, profile := exchange(t, "GET", s.url+"/api/profile", token, "")
	user, _ := profile["user"].(map[string]any)
	status, answer := exchange(t, "GET", orders, token, "")
	if status != 200 || answer["userId"] != user["id"] || !strings.Contains(fmt.Sprint(answer["orders"]), w.address) {
		t.Errorf("with a session: %d %v", status, answer)
	}
	// Who it is comes from the authorizer. Ordering takes a permission, which the example asks for.
	if status, answer := exchange(t, "POST", orders, token, `{"item":"tea","userId":"evil"}`); status != 403 || strings.Contains(fmt.Sprint(answer), "evil") {
		t.Errorf("without the permission: %d %v", status, answer)
	}
	for _, path := range []string{"/protected", "/protected/", "/protected/nothing", "/protected/orders/", "/protected//orders", "/protected/protected/orders", "/orders", "/Protected/orders"} {
		if status, answer := exchange(t, "GET", s.url+path, token, ""); status != 404 {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if status, answer := exchange(t, "POST", s.url+"/auth/logout", token, ""); status != 204 {
		t.Fatalf("logout: %d %v", status, answer)
	}
	if status, answer := exchange(t, "GET", orders, token, ""); status != 403 || answer["message"] != "Forbidden" {
		t.Errorf("after the logout: %d %v", status, answer)
	}
}

// The permissions of AUTHORIZER_PERMISSIONS are asked for before the function runs.
func TestMain_protectedPermissions(t *testing.T) {
	w := newWallet(t)
	s := start(t, `ROLES={"user":{"permissions":["orders:write"]}}`, "AUTHORIZER_PERMISSIONS=GET /orders*=orders:read,POST /orders=orders:write")
	token := w.login(s, "?transport=bearer")
	if status, answer := exchange(t, "GET", s.url+"/protected/orders", token, ""); status != 403 || answer["message"] != "Forbidden" {
		t.Errorf("without the permission: %d %v", status, answer)
	}
	if status, answer := exchange(t, "POST", s.url+"/protected/orders", token, `{"item":"tea"}`); status != 201 || answer["buyer"] != w.address {
		t.Errorf("with the permission: %d %v", status, answer)
	}
}

// cookieTemplate is the example's as it is written for cookies.
const cookieTemplate = `
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Latchkey
        Authorizers:
          Latchkey:
            FunctionArn: !ImportValue x
            AuthorizerPayloadFormatVersion: '2.0'
            EnableSimpleResponses: true
            Identity: {ReauthorizeEvery: 0}
  OrdersFunction:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        List: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /orders}}
        Place: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /orders}}
`

// folderWith has the template of the project and one for the example.
func folderWith(t *testing.T, example string) string {
	t.Helper()
	folder := t.TempDir()
	for path, text := range map[string]string{"template.yaml": read(t, "template.yaml"), "local/protected-api/template.yaml": example} {
		path = filepath.Join(folder, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// A browser's cookie opens the guarded API too, for pages of allowed origins.
func TestMain_protectedCookies(t *testing.T) {
	w := newWallet(t)
	s := startIn(t, folderWith(t, cookieTemplate), `ROLES={"user":{"permissions":["orders:write"]}}`)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	call := func(method, path, body string, headers ...string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var answer map[string]any
		_ = json.NewDecoder(response.Body).Decode(&answer) // none in a 204
		return response.StatusCode, answer
	}
	const page = "Origin"
	if status, answer := call("GET", "/protected/orders", ""); status != 403 {
		t.Errorf("without a session: %d %v", status, answer)
	}
	_, nonce := call("GET", "/auth/nonce", "")
	offer, err := json.Marshal(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := call("POST", "/auth/login", w.run(string(offer), "login", "-transport", "cookie"), page, s.url); status != 200 {
		t.Fatalf("login: %d %v", status, answer)
	}
	if status, answer := call("GET", "/protected/orders", ""); status != 200 || answer["userId"] == "" {
		t.Errorf("with the cookie: %d %v", status, answer)
	}
	if status, answer := call("POST", "/protected/orders", `{"item":"tea"}`, page, s.url); status != 201 || answer["buyer"] != w.address {
		t.Errorf("from our page: %d %v", status, answer)
	}
	for _, headers := range [][]string{{page, "https://evil.example"}, {}, {page, s.url, "Sec-Fetch-Site", "cross-site"}, {page, "null"}} {
		if status, answer := call("POST", "/protected/orders", `{"item":"tea"}`, headers...); status != 403 || answer["message"] != "Forbidden" {
			t.Errorf("from %v: %d %v", headers, status, answer)
		}
	}
	if status, answer := call("POST", "/auth/logout", "", page, s.url); status != 204 {
		t.Fatalf("logout: %d %v", status, answer)
	}
	if status, answer := call("GET", "/protected/orders", ""); status != 403 {
		t.Errorf("after the logout: %d %v", status, answer)
	}
}
