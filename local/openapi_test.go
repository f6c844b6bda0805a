package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey/docs"
	"latchkey/shared/config"
	"latchkey/shared/secureheaders"
)

// documented is one route of docs/openapi.json.
type documented struct {
	ID        string                `json:"operationId"`
	Fresh     bool                  `json:"x-fresh"`
	Security  []map[string][]string `json:"security"`
	Responses map[string]answer     `json:"responses"`
}

// answer is one of the answers of a route, or a reference to one.
type answer struct {
	Ref     string `json:"$ref"`
	Content map[string]struct {
		Schema struct {
			AllOf []struct {
				Properties struct {
					Status struct{ Const any }
					Code   struct{ Enum []string }
				}
			}
		}
	}
}

// codes returns the codes of an answer that is a problem.
func (a answer) codes() (codes []string) {
	for _, part := range a.Content["application/problem+json"].Schema.AllOf {
		codes = append(codes, part.Properties.Code.Enum...)
	}
	return codes
}

// openAPI is docs/openapi.json, as far as the tests read it. Answers are
// resolved.
type openAPI struct {
	OpenAPI    string
	Info       struct{ Version string }
	Paths      map[string]map[string]documented
	Headers    map[string]struct{ Schema struct{ Const string } } `json:"x-headers-of-every-answer"`
	Components struct {
		SecuritySchemes map[string]struct{ Type, Scheme, Name, In string }
		Responses       map[string]answer
		Schemas         map[string]struct {
			Enum       []string
			Properties map[string]struct{ Enum []any }
		}
	}
}

func readOpenAPI(t *testing.T) openAPI {
	t.Helper()
	var d openAPI
	if err := json.Unmarshal(docs.OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	for path, methods := range d.Paths {
		for method, o := range methods {
			for status, a := range o.Responses {
				name, isRef := strings.CutPrefix(a.Ref, "#/components/responses/")
				resolved, known := d.Components.Responses[name]
				if isRef && !known {
					t.Fatalf("%s %s: %s is not defined", method, path, a.Ref)
				}
				if isRef {
					o.Responses[status] = resolved
				}
			}
		}
	}
	return d
}

// routes returns the routes of the document by method and path.
func (d openAPI) routes() map[string]documented {
	found := map[string]documented{}
	for path, methods := range d.Paths {
		for method, o := range methods {
			found[strings.ToUpper(method)+" "+path] = o
		}
	}
	return found
}

func TestOpenAPI_routes(t *testing.T) {
	d := readOpenAPI(t)
	var routes []string
	for id, f := range ofAPI(t) {
		routes = append(routes, routesOf(t, id, f)...)
	}
	same(t, "template.yaml", routes, "docs/openapi.json", slices.Collect(maps.Keys(d.routes())))
	if d.OpenAPI != "3.1.0" || d.Info.Version != config.Version {
		t.Errorf("docs/openapi.json is OpenAPI %s of version %s", d.OpenAPI, d.Info.Version)
	}
	ids := map[string]bool{}
	for route, o := range d.routes() {
		if o.ID == "" || ids[o.ID] {
			t.Errorf("%s has the operationId %q, which must be its own", route, o.ID)
		}
		ids[o.ID] = true
	}
}

// texts returns the values of an enumeration of strings.
func texts(enum []any) (found []string) {
	for _, value := range enum {
		found = append(found, fmt.Sprint(value))
	}
	return found
}

// exempt are the answers that any route may have. They stand once, as default.
var exempt = []string{"421 misdirected_request", "500 internal"}

// The errors of docs/api.md are those of the document, each with its status.
func TestOpenAPI_codes(t *testing.T) {
	var rows, found []string
	table := section(t, "docs/api.md", "Errors")
	for _, m := range regexp.MustCompile("(?m)^\\| ([0-9]{3}) \\| `([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		rows = append(rows, m[1]+" "+m[2])
	}
	statusOf := map[string]string{}
	for _, row := range rows {
		status, code, _ := strings.Cut(row, " ")
		statusOf[code] = status
	}
	d := readOpenAPI(t)
	for route, o := range d.routes() {
		for status, a := range o.Responses {
			for _, code := range a.codes() {
				row := status + " " + code
				if status == "default" {
					row = statusOf[code] + " " + code
				}
				if (status == "default") != slices.Contains(exempt, row) {
					t.Errorf("%s: the answer %s has %s", route, status, code)
				}
				found = append(found, row)
			}
		}
	}
	same(t, "docs/api.md", rows, "docs/openapi.json", found)
	same(t, "docs/api.md", slices.Collect(maps.Keys(statusOf)), "the schema Problem",
		texts(d.Components.Schemas["Problem"].Properties["code"].Enum))
}

// Every answer from 400 on lists its codes, and its body has its own status.
func TestOpenAPI_answers(t *testing.T) {
	for route, o := range readOpenAPI(t).routes() {
		if len(o.Responses["default"].codes()) != len(exempt) {
			t.Errorf("%s: default has the codes %q", route, o.Responses["default"].codes())
		}
		for status, a := range o.Responses {
			number, err := strconv.Atoi(status)
			if err != nil || number < 400 || strings.HasPrefix(route, "HEAD ") ||
				route == "GET /health" && number == 503 || route == "GET /openapi.json" {
				continue
			}
			problem := a.Content["application/problem+json"].Schema.AllOf
			if len(a.codes()) == 0 || len(a.Content) != 1 || len(problem) != 2 || problem[1].Properties.Status.Const != float64(number) {
				t.Errorf("%s: the answer %s has the codes %q, %+v", route, status, a.codes(), problem)
			}
		}
	}
}

// endpoint is a row of the table of endpoints in docs/api.md.
var endpoint = regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\| ([^|]+) \\| (as|20[0-9])")

// Credentials and successes of docs/api.md are those of the document.
func TestOpenAPI_endpoints(t *testing.T) {
	all := readOpenAPI(t).routes()
	for _, m := range endpoint.FindAllStringSubmatch(section(t, "docs/api.md", "Endpoints"), -1) {
		route, credential, success := m[1], m[2], strings.Replace(m[3], "as", "200", 1)
		o := all[route]
		delete(all, route)
		var successes []string
		for status := range o.Responses {
			if status[0] == '2' {
				successes = append(successes, status)
			}
		}
		if !slices.Equal(successes, []string{success}) {
			t.Errorf("%s: docs/api.md has %s, docs/openapi.json has %s", route, success, successes)
		}
		if fresh := strings.HasSuffix(credential, ", fresh"); fresh != o.Fresh {
			t.Errorf("%s is fresh: docs/api.md says %t, docs/openapi.json %t", route, fresh, o.Fresh)
		}
		if got, want := credentials(o), schemes(credential); !slices.Equal(got, want) {
			t.Errorf("%s: docs/openapi.json has the credentials %q, and docs/api.md %q", route, got, want)
		}
	}
	for route := range all {
		t.Errorf("docs/api.md has no row for %s", route)
	}
}

// credentials returns the credentials of a route, sorted, with the
// permissions that it requires.
func credentials(o documented) []string {
	found := []string{}
	for _, alternative := range o.Security {
		if len(alternative) == 0 {
			found = append(found, "none")
		}
		for scheme, permissions := range alternative {
			found = append(found, strings.Join(append([]string{scheme}, permissions...), " "))
		}
	}
	slices.Sort(found)
	return found
}

// schemes returns the credentials that a cell of docs/api.md stands for.
func schemes(cell string) []string {
	cell = strings.TrimSuffix(cell, ", fresh")
	known := map[string][]string{
		"no credential": {},
		"no credential; the session for `?purpose=step_up`": {"accessToken", "none", "sessionCookie"},
		"a signed message":                              {"none", "preloginCookie"},
		"refresh token":                                 {"none", "refreshCookie"},
		"access or refresh token":                       {"accessToken", "none", "refreshCookie", "refreshToken", "sessionCookie"},
		"access or refresh token, and a signed message": {"accessToken", "none", "refreshCookie", "sessionCookie"},
		"session":     {"accessToken", "sessionCookie"},
		"service key": {"serviceKey"},
	}
	if found, ok := known[cell]; ok {
		return found
	}
	permission := strings.Trim(cell, "`")
	return []string{"accessToken " + permission, "sessionCookie " + permission}
}

// What the document lists, other places list too.
func TestOpenAPI_lists(t *testing.T) {
	d := readOpenAPI(t)
	firstCells := func(title string) (found []string) {
		for line := range strings.Lines(section(t, "docs/api.md", title)) {
			if row := strings.Split(line, "|"); len(row) > 2 {
				for _, m := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(row[1], -1) {
					found = append(found, m[1])
				}
			}
		}
		return found
	}
	// A rollback may list what a later version has stored.
	known := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == "unknown" })
	}
	same(t, "docs/api.md", firstCells("Ended sessions"), "EndReason", known(d.Components.Schemas["EndReason"].Enum))
	events := append(firstCells("Sessions and activity"), "ticket.reused") // under Tickets
	for _, schema := range []string{"Event", "AdminEvent"} {
		same(t, "docs/api.md", events, schema, known(texts(d.Components.Schemas[schema].Properties["type"].Enum)))
	}
	var sent, described []string
	for name, value := range secureheaders.Values {
		sent = append(sent, strings.ToLower(name)+": "+value)
	}
	for name, header := range d.Headers {
		described = append(described, strings.ToLower(name)+": "+header.Schema.Const)
	}
	same(t, "shared/secureheaders", sent, "docs/openapi.json", described)
	for name, want := range map[string]string{
		"sessionCookie": "apiKey cookie __Host-session", "refreshCookie": "apiKey cookie __Host-refresh",
		"preloginCookie": "apiKey cookie __Host-prelogin", "accessToken": "http bearer", "refreshToken": "http bearer", "serviceKey": "http bearer",
	} {
		s := d.Components.SecuritySchemes[name]
		if got := strings.Join(strings.Fields(fmt.Sprint(s.Type, " ", s.In, s.Scheme, " ", s.Name)), " "); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// The local server serves the document, and its page links to it.
func TestOpenAPI_served(t *testing.T) {
	s := start(t)
	get := func(method, path, tag string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(body)
	}
	full, body := get("GET", "/openapi.json", "")
	tag := full.Header.Get("ETag")
	if full.StatusCode != 200 || body != string(docs.OpenAPI) || tag == "" || full.Header.Get("Content-Type") != "application/json" {
		t.Errorf("GET: %d, %d bytes, %v", full.StatusCode, len(body), full.Header)
	}
	if head, body := get("HEAD", "/openapi.json", ""); head.StatusCode != 200 || body != "" || head.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %d %q, %v", head.StatusCode, body, head.Header)
	}
	if same, body := get("GET", "/openapi.json", tag); same.StatusCode != 304 || body != "" || same.Header.Get("ETag") != tag {
		t.Errorf("with its tag: %d %q, %v", same.StatusCode, body, same.Header)
	}
	if page, body := get("GET", "/", ""); page.StatusCode != 200 || !strings.Contains(body, `href="/openapi.json"`) {
		t.Errorf("the page is %d and has no link", page.StatusCode)
	}
}
