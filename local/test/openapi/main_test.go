package main // this is a command, which exports nothing

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/docs"
	"latchkey/local/answers"
)

// edit changes a document: the members that it names, in the object at a
// pointer. A nil value deletes one.
type edit struct {
	at, name string
	value    any
}

// small is the document of testdata, with edits.
func small(t *testing.T, edits ...edit) *document {
	t.Helper()
	text, err := os.ReadFile("testdata/small.json")
	if err != nil {
		t.Fatal(err)
	}
	var parsed object
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		_, inside := (&document{root: parsed}).resolve(e.at)
		if inside == nil {
			t.Fatalf("there is nothing at %s", e.at)
		}
		if _, has := inside[e.name]; e.value == nil && !has {
			t.Fatalf("there is no %s at %s", e.name, e.at)
		}
		if inside[e.name] = e.value; e.value == nil {
			delete(inside, e.name)
		}
	}
	if text, err = json.Marshal(parsed); err != nil {
		t.Fatal(err)
	}
	d, err := load(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// seen is an answer of the small API.
func seen(method, path string, status int, kind, body string) answers.Answer {
	header := http.Header{"X-Request-Id": {"r1"}, "X-Dns-Prefetch-Control": {"off"}, "Date": {"now"}}
	if kind != "" {
		header.Set("Content-Type", kind)
	}
	return answers.Answer{Package: "latchkey/x", Method: method, Path: path, Status: status, Header: header, Body: body}
}

// sent is a request to the small API that succeeded.
func sent(kind, body string) answers.Answer {
	a := seen("PUT", "/notes/1", 204, "", "")
	a.Sent, a.SentType = body, kind
	a.Query, a.Asked = "ttl=5", http.Header{"If-Match": {"*"}}
	return a
}

const (
	plain   = "application/json"
	problem = "application/problem+json"
)

// complete are answers that show everything of the small API.
func complete() []answers.Answer {
	note := seen("GET", "/notes/1", 200, plain, `{"text":"x","tags":[{"name":"a"}],"counts":{"1":2},"any":{"x":1},"ended":"2026-11-23T10:00:00.000Z"}`)
	note.Header["Set-Cookie"] = []string{"a=1", "b=2"}
	put := sent(plain+"; charset=utf-8", `{"text":"x","tags":["a"]}`)
	return []answers.Answer{
		note, put,
		seen("GET", "/notes/2", 200, plain, `{"deleted":true}`),
		seen("GET", "/notes/3", 404, problem, `{"code":"not_found","detail":"x","status":404}`),
		seen("GET", "/notes/4", 404, problem, `{"code":"hidden"}`),
		seen("GET", "/notes/4", 500, problem, `{"code":"internal"}`),
		seen("HEAD", "/notes/1", 200, plain, ""),
		seen("HEAD", "/unknown", 404, "", ""),
		// What API Gateway answers itself, and what it would not ask a function.
		{Method: "GET", Path: "/unknown", Status: 404, Body: `{"message":"Not Found"}`},
		{Method: "GET", Path: "/notes/1", Status: 429, Body: `{"message":"Too Many Requests"}`},
		{Method: "OPTIONS", Path: "/notes/1", Status: 204},
		// The admin console, which is not part of the API.
		seen("GET", "/console", 200, "text/html", "x"),
		seen("HEAD", "/console/app.js", 304, "", ""),
		seen("POST", "/notes/1", 404, problem, `{"code":"not_found"}`),
	}
}

// problemsOf compares without the list of packages.
func problemsOf(d *document, all []answers.Answer) []string {
	problems, _ := compareAll(d, all)
	return slices.DeleteFunc(problems, func(p string) bool { return strings.Contains(p, "collected no answer") })
}

func TestCompare_complete(t *testing.T) {
	for _, p := range problemsOf(small(t), complete()) {
		t.Error(p)
	}
}

// wantOne asserts that one problem begins with where and has what. Each must say
// what to do.
func wantOne(t *testing.T, got []string, where, what string) {
	t.Helper()
	found := false
	for _, p := range got {
		found = found || strings.HasPrefix(p, where) && strings.Contains(p, what)
		if !regexp.MustCompile(`docs/openapi\.json|local/answers`).MatchString(p) {
			t.Errorf("does not say what to do: %s", p)
		}
	}
	if !found {
		t.Errorf("no problem begins with %q and has %q in\n%s", where, what, strings.Join(got, "\n"))
	}
}

// A document that has lost or gained something does not fit the answers.
func TestCompare_weakenedDocument(t *testing.T) {
	const (
		note     = "/components/schemas/Note"
		change   = "/components/schemas/Change"
		put      = "/paths/~1notes~1{id}/put"
		get      = "/paths/~1notes~1{id}/get"
		code     = "/schema/allOf/1/properties/code"
		codes    = get + "/responses/404/content/application~1problem+json" + code
		anyCodes = "/components/responses/Other/content/application~1problem+json" + code
	)
	text := object{"schema": object{"type": "string"}}
	gone := object{"description": "Gone."}
	for name, tt := range map[string]struct {
		edit
		where, what string
	}{
		"no method": {
			edit{"/paths/~1notes~1{id}", "put", nil},
			"PUT /notes/1 answered 204 to latchkey/x", "no such route",
		},
		"no status": {
			edit{get + "/responses", "404", nil},
			"GET /notes/{id} 404", "does not have this status",
		},
		"no field": {
			edit{note + "/properties", "text", nil},
			"GET /notes/{id} 200", "text: the document does not have this field",
		},
		"no nested field": {
			edit{note + "/properties/tags/items/properties", "name", nil},
			"GET /notes/{id} 200", "tags.0.name: the document",
		},
		"no counts": {
			edit{note + "/properties/counts", "additionalProperties", nil},
			"GET /notes/{id} 200", "counts.1: the document",
		},
		"no sent field": {
			edit{change + "/properties", "text", nil},
			"PUT /notes/{id} 204: the body of the request", "text: the document",
		},
		"no header": {
			edit{get + "/responses/200/headers", "Set-Cookie", nil},
			"GET /notes/{id} 200", "the header Set-Cookie",
		},
		"no common header": {
			edit{"/x-headers-of-every-answer", "X-DNS-Prefetch-Control", nil},
			"GET /notes/{id} 200", "the header X-Dns-Prefetch-Control",
		},
		"no content type": {
			edit{get + "/responses/404/content", problem, nil},
			"GET /notes/{id} 404", `the content type "application/problem+json"`,
		},
		"no code": {edit{codes, "enum", []any{"not_found"}},
			"GET /notes/{id} 404", "code: value must be"},
		"no request": {
			edit{"/paths/~1notes~1{id}/put", "requestBody", nil},
			"PUT /notes/{id} 204", "the content type",
		},

		"no parameter": {edit{put, "parameters", nil}, "PUT /notes/{id} 204", "the parameter ttl succeeded"},
		"a parameter": {
			edit{put, "parameters", []any{object{"name": "more", "in": "query", "schema": object{"type": "string"}}}},
			"PUT /notes/{id} request", "no success had the parameter more",
		},
		"a sent field": {
			edit{change + "/properties", "more", object{"type": "string"}},
			"PUT /notes/{id} request", "no test saw the field more of /components/schemas/Change",
		},
		"a sent content type": {edit{put + "/requestBody/content", "text/plain", text},
			"PUT /notes/{id} request", "no success had the content type text/plain"},

		"a method": {edit{"/paths/~1notes~1{id}", "delete", object{"responses": object{"204": gone}}},
			"DELETE /notes/{id} 204", "no test saw this status"},
		"a status": {edit{get + "/responses", "410", gone}, "GET /notes/{id} 410", "no test saw this status"},
		"a code": {edit{codes, "enum", []any{"not_found", "hidden", "other"}},
			"GET /notes/{id} 404", "no test saw the code other"},
		"a field": {
			edit{note + "/properties", "more", object{"type": "string"}},
			"GET /notes/{id} 200", "no test saw the field more of /components/schemas/Note",
		},
		"a nested field": {edit{note + "/properties/tags/items/properties", "more", object{"type": "string"}},
			"GET /notes/{id} 200", "no test saw the field tags.more"},
		"a header": {
			edit{get + "/responses/404/headers", "Retry-After", text},
			"GET /notes/{id} 404", "no test saw the header Retry-After",
		},
		"a required header": {edit{get + "/responses/404/headers", "Retry-After", object{"required": true, "schema": object{"type": "string"}}},
			"GET /notes/{id} 404", "the header Retry-After is missing"},
		"a content type": {
			edit{get + "/responses/200/content", "text/plain", text},
			"GET /notes/{id} 200", "no test saw the content type text/plain",
		},
		"a required field": {
			edit{note, "required", []any{"more"}},
			"GET /notes/{id} 200", "missing property 'more'",
		},
		"a code of any route": {edit{anyCodes, "enum", []any{"internal", "other"}},
			"GET /notes/{id} default", "no test saw the code other"},
	} {
		t.Run(name, func(t *testing.T) { wantOne(t, problemsOf(small(t, tt.edit), complete()), tt.where, tt.what) })
	}
}

// An answer that is not as the document says is a problem beside many good ones.
func TestCompare_wrongAnswers(t *testing.T) {
	with := func(a answers.Answer, name string, values ...string) answers.Answer {
		a.Header[name] = values
		return a
	}
	note := func() answers.Answer { return complete()[0] }
	asked := func(query string, ifMatch ...string) answers.Answer {
		a := sent(plain, `{"text":"x"}`)
		a.Query, a.Asked = query, http.Header{"If-Match": ifMatch}
		return a
	}
	for name, tt := range map[string]struct {
		answer      answers.Answer
		where, what string
	}{
		"route":               {seen("GET", "/notes", 200, plain, "{}"), "GET /notes answered 200", "no such route"},
		"route like another":  {seen("GET", "/consoles", 200, plain, "{}"), "GET /consoles answered 200", "no such route"},
		"route with a longer": {seen("GET", "/notes/1/2", 200, plain, "{}"), "GET /notes/1/2 answered 200", "no such route"},
		"status":              {seen("GET", "/notes/1", 201, plain, `{"text":"x"}`), "GET /notes/{id} 201", "this status"},
		"status of a code":    {seen("GET", "/notes/1", 500, problem, `{"code":"other"}`), "GET /notes/{id} 500", "this status"},
		"field":               {seen("GET", "/notes/1", 200, plain, `{"text":"x","more":1}`), "GET /notes/{id} 200", "more: the document does not have this field"},
		"wrong type":          {seen("GET", "/notes/1", 200, plain, `{"text":1}`), "GET /notes/{id} 200", "text: got number, want string"},
		"wrong format":        {seen("GET", "/notes/1", 200, plain, `{"text":"x","ended":"today"}`), "GET /notes/{id} 200", "ended:"},
		"both alternatives":   {seen("GET", "/notes/1", 200, plain, `{"text":"x","deleted":true}`), "GET /notes/{id} 200", "subschemas 0, 1 matched"},
		"code":                {seen("GET", "/notes/1", 404, problem, `{"code":"other"}`), "GET /notes/{id} 404", "code: value must be"},
		"header":              {with(note(), "X-Powered-By", "x"), "GET /notes/{id} 200", "the header X-Powered-By"},
		"header twice":        {with(note(), "X-Request-Id", "r1", "r2"), "GET /notes/{id} 200", "the header X-Request-Id is there 2 times"},
		"value in an answer":  {with(note(), "X-Request-Id", "x"), "GET /notes/{id} 200", "the header X-Request-Id: 'x' does not match"},
		"value of a cookie":   {with(note(), "Set-Cookie", "a=1", "c=1"), "GET /notes/{id} 200", "the header Set-Cookie: 'c=1' does not match"},
		"a gateway's":         {seen("GET", "/notes/1", 404, plain, `{"message":"x"}`), "GET /notes/{id} 404", `the content type "application/json"`},
		"no header":           {with(note(), "X-Request-Id"), "GET /notes/{id} 200", "the header X-Request-Id is missing"},
		"content type":        {seen("GET", "/notes/1", 200, "text/plain", "x"), "GET /notes/{id} 200", `the content type "text/plain"`},
		"no body":             {seen("GET", "/notes/1", 200, "", ""), "GET /notes/{id} 200", `the content type ""`},
		"a body":              {seen("PUT", "/notes/1", 204, plain, "{}"), "PUT /notes/{id} 204", "the content type"},
		"not JSON":            {seen("GET", "/notes/1", 200, plain, "{"), "GET /notes/{id} 200", "not JSON"},
		"HEAD with a body":    {seen("HEAD", "/notes/1", 200, plain, "{}"), "HEAD /notes/{id} 200", "has a body"},
		"HEAD as no GET":      {seen("HEAD", "/notes/1", 200, "text/plain", ""), "HEAD /notes/{id} 200", `GET has no content type "text/plain"`},
		"request":             {sent(plain, `{"text":"x","more":1}`), "PUT /notes/{id} 204: the body of the request", "more: the document"},
		"type of a request":   {sent("text/plain", `{"text":"x"}`), "PUT /notes/{id} 204", `the content type "text/plain"`},
		"no request":          {sent("", ""), "PUT /notes/{id} 204", "without the required body"},
		"no parameter":        {asked("more=1", "*"), "PUT /notes/{id} 204", "the parameter more succeeded"},
		"value of a number":   {asked("ttl=0", "*"), "PUT /notes/{id} 204", "the parameter ttl: minimum: got 0, want 1"},
		"no number":           {asked("ttl=+1", "*"), "PUT /notes/{id} 204", "the parameter ttl: got string, want integer"},
		"broken query":        {asked("ttl=5;", "*"), "PUT /notes/{id} 204", "the query"},
		"value of a header":   {asked("", ""), "PUT /notes/{id} 204", "the parameter If-Match: minLength"},
		"no required header":  {asked(""), "PUT /notes/{id} 204", "without the parameter If-Match"},
		"status in the body":  {seen("GET", "/notes/1", 404, problem, `{"code":"not_found","status":403}`), "GET /notes/{id} 404", "the status 403"},
		"broken request":      {sent(plain, "{"), "PUT /notes/{id} 204", "not JSON"},
	} {
		t.Run(name, func(t *testing.T) { wantOne(t, problemsOf(small(t), append(complete(), tt.answer)), tt.where, tt.what) })
	}
}

// Of alternatives, the members count only where the alternative applies.
func TestCompare_unseenAlternative(t *testing.T) {
	all := slices.DeleteFunc(complete(), func(a answers.Answer) bool { return a.Path == "/notes/2" })
	wantOne(t, problemsOf(small(t), all), "GET /notes/{id} 200", "no test saw the field deleted of /components/schemas/Deleted")
}

// A package that collects nothing is a problem. If tests were skipped, what
// they would have shown is not wanted. What others show is still compared.
func TestCompare_packages(t *testing.T) {
	problems, _ := compareAll(small(t), complete())
	wantOne(t, problems, "latchkey/shared/api collected no answer", "local/answers")
	var wrote []answers.Answer
	for _, name := range packages {
		wrote = append(wrote, answers.Answer{Package: name, Skipped: "no chromium"})
	}
	problems, skipped := compareAll(small(t), wrote)
	if len(problems) > 0 || !slices.Equal(skipped, []string{"no chromium"}) {
		t.Errorf("%q, skipped %q", problems, skipped)
	}
	wrong := seen("GET", "/notes/1", 201, plain, "{}")
	if problems, _ = compareAll(small(t), append(wrote, wrong)); len(problems) != 1 {
		t.Errorf("%q", problems)
	}
}

// The project's document is valid, and without answers everything of it is
// wanted.
func TestCompare_document(t *testing.T) {
	d, err := load(docs.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	got := problemsOf(d, nil)
	wanted := map[string]bool{}
	for _, p := range got {
		route, _, _ := strings.Cut(p, ":")
		wanted[route[:strings.LastIndex(route, " ")]] = true
	}
	if len(wanted) != len(d.routes) || len(wanted) < 30 {
		t.Errorf("%d of %d routes are wanted", len(wanted), len(d.routes))
	}
	if _, err := load([]byte(`{"openapi":"3.1.0","paths":{}}`)); err == nil {
		t.Error("a document without a title is accepted")
	}
}

// Every test file that makes handlers of the API, or a process that serves it,
// collects what they answer.
func TestCollected(t *testing.T) {
	const root = "../../.."
	makes := regexp.MustCompile(`\bapi\.New\(|lambdahttp\.NewHandler\(|boot\.New\(|boot\.NewService\(|openapi\.Handler\{|"BE_THE_SERVER|/local"\)|v\.binary\)`)
	collects := regexp.MustCompile(`answers\.(Record|Handler|Environment)\(|newHandler\(|\bserve\(`)
	found := 0
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch name := filepath.ToSlash(strings.TrimPrefix(path, root+"/")); {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "build" || entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(name, "_test.go") || uncollected[name] != "" || strings.HasPrefix(name, "local/test/openapi/"):
			return nil
		default:
			text, err := os.ReadFile(path)
			if err != nil || !makes.Match(text) {
				return err
			}
			found++
			if !collects.Match(text) {
				t.Errorf("%s makes handlers of the API and does not collect their answers: use local/answers", name)
			}
			if p := "latchkey/" + filepath.ToSlash(filepath.Dir(name)); !slices.Contains(packages, p) {
				t.Errorf("%s is in a package that is not in the list of local/test/openapi", name)
			}
			return nil
		}
	})
	if err != nil || found < 15 {
		t.Errorf("%d files make handlers, %v", found, err)
	}
}

// uncollected are files whose handlers do not collect, and why.
var uncollected = map[string]string{
	"shared/api/example_test.go":         "it is documentation",
	"shared/api/timing_test.go":          "it measures time, of what other tests see too",
	"shared/boot/bench_test.go":          "it counts allocations",
	"shared/boot/export_test.go":         "it makes no handler",
	"shared/boot/setup_test.go":          "it is newHandler",
	"shared/boot/replay_test.go":         "it has the publisher, which is no route",
	"shared/authorizer/world_test.go":    "it has the authorizer, which is no route",
	"shared/lambdahttp/handler_test.go":  "its handlers are not those of the API",
	"local/layout_test.go":               "it compares text",
	"local/test/upgrade/tickets_test.go": "it has the authorizer, which is no route",
	"local/test/upgrade/release_test.go": "it compiles the versions, and others start them",
}

// Of lines of JSON, each is compared with the schema.
func TestCompare_lines(t *testing.T) {
	const lines = "application/x-ndjson"
	schema := object{"type": "object", "required": []any{"n"}, "properties": object{"n": object{"type": "integer"}}}
	d := small(t, edit{"/paths/~1notes~1{id}/get/responses/200/content", lines, object{"schema": schema}})
	with := func(body string) []string {
		return problemsOf(d, append(complete(), seen("GET", "/notes/1", 200, lines, body)))
	}
	if got := with("{\"n\":1}\n{\"n\":2}\n"); len(got) > 0 {
		t.Errorf("two lines that fit: %v", got)
	}
	wantOne(t, with("{\"n\":1}\n{\"n\":1,\"m\":2}\n"), "GET /notes/{id} 200", "m: the document does not have this field")
	wantOne(t, with("{\"n\":1}\nx\n"), "GET /notes/{id} 200", "the body is not JSON")
}
