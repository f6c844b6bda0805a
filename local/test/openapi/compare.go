package main

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"latchkey/local/answers"
)

// addedHeaders are not of the API: the HTTP server adds the first two, and API
// Gateway the others.
var addedHeaders = []string{
	"Date", "Content-Length", "Apigw-Requestid", "Vary", "Access-Control-Allow-Origin",
	"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers",
}

const addIt = "add it to " + page + ", or do not send it"

// comparison compares answers with the document.
type comparison struct {
	*document
	problems map[string]bool
	// seen has the parts of the document that an answer has shown, by pointer,
	// and routes with status and code, by name.
	seen map[string]bool
}

func newComparison(d *document) *comparison {
	return &comparison{document: d, problems: map[string]bool{}, seen: map[string]bool{}}
}

// found returns the problems, sorted.
func (c *comparison) found() []string { return slices.Sorted(maps.Keys(c.problems)) }

func (c *comparison) report(format string, arguments ...any) {
	c.problems[fmt.Sprintf(format, arguments...)] = true
}

// look compares one answer.
func (c *comparison) look(a answers.Answer) {
	route, ok := c.find(a.Method, a.Path)
	switch {
	case a.Method == http.MethodOptions, isOfGateway(a):
		return // API Gateway answered, and no function
	case isOfConsole(a.Path):
		return
	case !ok && a.Status == http.StatusNotFound && (isProblem(a) || a.Method == http.MethodHead):
		return // a function that API Gateway calls for another route alone, or API Gateway
	case !ok:
		c.report("%s %s answered %d to %s, and the document has no such route: add it to %s",
			a.Method, a.Path, a.Status, a.Package, page)
		return
	}
	l := &look{comparison: c, answer: a, route: route}
	l.name = fmt.Sprintf("%s %d", route, a.Status)
	response := l.response(c.routes[route])
	if response == "" {
		l.report("the document does not have this status here (seen by %s):"+
			" add it to %s, or answer otherwise", a.Package, page)
		return
	}
	c.seen[l.name] = true
	l.headers(response)
	l.content(response)
	if a.Status < 300 {
		l.request(c.routes[route])
	}
	if a.Status < 400 { // with 304 for If-None-Match
		l.parameters(c.routes[route])
	}
}

// isOfConsole reports whether a path is that of the admin console or its files.
// People open them, and programs do not call them, so the document leaves them
// out.
func isOfConsole(path string) bool {
	return path == "/console" || strings.HasPrefix(path, "/console/")
}

// look is the comparison of one answer.
type look struct {
	*comparison
	answer answers.Answer
	route  string // method and path template
	name   string // with the status
}

func (l *look) report(format string, arguments ...any) {
	l.comparison.report("%s", l.name+": "+fmt.Sprintf(format, arguments...))
}

// response returns the pointer of the response of an answer. A status that a
// route does not list is one of its default if that has the answer's code.
func (l *look) response(route string) string {
	responses := at(route, "responses")
	_, all := l.resolve(responses)
	status := strconv.Itoa(l.answer.Status)
	if _, has := all[status]; has {
		pointer, _ := l.resolve(at(responses, status))
		return pointer
	}
	pointer, _ := l.resolve(at(responses, "default"))
	if _, has := all["default"]; has && slices.Contains(l.codes(pointer), codeOf(l.answer)) {
		return pointer
	}
	return ""
}

// headers checks the headers against those of the response, and those of every
// answer.
func (l *look) headers(response string) {
	declared := map[string]string{}
	for _, list := range []string{at("", "x-headers-of-every-answer"), at(response, "headers")} {
		_, all := l.resolve(list)
		for name := range all {
			declared[http.CanonicalHeaderKey(name)] = at(list, name)
		}
	}
	for name, values := range l.answer.Header {
		pointer, has := declared[name]
		switch {
		case name == "Content-Type" || slices.Contains(addedHeaders, name):
		case !has:
			l.report("the document does not have the header %s: %s", name, addIt)
		default:
			l.seen[pointer] = true
			l.header(name, pointer, values)
		}
	}
	for name, pointer := range declared {
		_, header := l.resolve(pointer)
		if header["required"] == true && len(l.answer.Header[name]) == 0 {
			l.report("the header %s is missing: send it, or delete its required in %s", name, page)
		}
	}
}

// header checks the values of a header. Only Set-Cookie may be there more than
// once.
func (l *look) header(name, pointer string, values []string) {
	if len(values) > 1 && name != "Set-Cookie" {
		l.report("the header %s is there %d times: send it once, as %s says",
			name, len(values), page)
	}
	resolved, _ := l.resolve(pointer)
	for _, value := range values {
		l.validate("the header "+name, at(resolved, "schema"), value)
	}
}

// content checks content type and body against those of the response.
func (l *look) content(response string) {
	sent := l.answer.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(sent)
	if l.answer.Method == http.MethodHead {
		l.head(media)
		return
	}
	_, types := l.resolve(at(response, "content"))
	_, has := types[media]
	switch {
	case sent == "" && l.answer.Body == "" && len(types) == 0:
		return
	case !has:
		l.report("the document does not have the content type %q with %d bytes: %s",
			sent, len(l.answer.Body), addIt)
		return
	}
	l.seen[at(response, "content", media)] = true
	schema := at(response, "content", media, "schema")
	for _, text := range l.texts(media) {
		l.body(response, schema, text)
	}
}

// texts returns the body. If it is lines of JSON, it returns each line: a schema
// of that type is for one line.
func (l *look) texts(media string) []string {
	if media == "application/x-ndjson" {
		return slices.Collect(strings.Lines(l.answer.Body))
	}
	return []string{l.answer.Body}
}

// body checks a body, or a line of it, against a schema.
func (l *look) body(response, schema, text string) {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		l.report("the body is not JSON, which %s says it is: %v", page, err)
		return
	}
	if l.validate("the body", schema, value) {
		l.see(schema, value)
		if code := codeOf(l.answer); code != "" {
			l.status()
			l.seen[l.name+" "+code] = true
			l.seen[response+" "+code] = true
		}
	}
}

// status compares the status that a problem names with that of the answer.
func (l *look) status() {
	status, has := bodyOf(l.answer)["status"]
	if has && fmt.Sprint(status) != strconv.Itoa(l.answer.Status) {
		l.report("the body has the status %v: it must be that of the answer, as in %s", status, page)
	}
}

// head checks an answer to HEAD: it has no body, and the content type that GET
// would have.
func (l *look) head(media string) {
	if l.answer.Body != "" {
		l.report("an answer to HEAD has a body: send none; %s cannot describe one", page)
	}
	get := l.routes["GET"+strings.TrimPrefix(l.route, "HEAD")]
	response, _ := l.resolve(at(get, "responses", strconv.Itoa(l.answer.Status)))
	if _, types := l.resolve(at(response, "content")); media != "" && types[media] == nil {
		l.report("GET has no content type %q: %s", media, addIt)
	}
}

// request checks the body of a request that succeeded.
func (l *look) request(route string) {
	pointer, body := l.resolve(at(route, "requestBody"))
	if l.answer.Sent == "" {
		if body["required"] == true {
			l.report("a request without the required body succeeded: correct %s", page)
		}
		return
	}
	media, _, _ := mime.ParseMediaType(l.answer.SentType)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(l.answer.Sent))
	if body == nil && err == nil && len(members(value)) == 0 {
		return // an empty object is as good as no body
	}
	if _, types := l.resolve(at(pointer, "content")); types[media] == nil {
		l.report("a request with the content type %q succeeded: correct %s, which lacks it",
			l.answer.SentType, page)
		return
	}
	if err != nil {
		l.report("a request whose body is not JSON succeeded, against %s: %v", page, err)
		return
	}
	l.seen[l.route+" "+media] = true
	schema := at(pointer, "content", media, "schema")
	if l.validate("the body of the request", schema, value) {
		l.see(schema, value)
	}
}

// validate reports what is wrong with a value, and whether it is valid.
func (l *look) validate(what, schema string, value any) bool {
	compiled, err := l.schema(schema)
	if err != nil {
		l.report("%s has no usable schema at %s: %v", what, schema, err)
		return false
	}
	err = compiled.Validate(value)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		for _, leaf := range causes(invalid) {
			l.report("%s: %s%s (seen by %s): correct %s, or the answer",
				what, inBody(leaf.InstanceLocation), text(leaf), l.answer.Package, page)
		}
	}
	return err == nil
}

var english = message.NewPrinter(language.English)

// inBody renders the place of a value as in session.device.
func inBody(location []string) string {
	if len(location) == 0 {
		return ""
	}
	return strings.Join(location, ".") + ": "
}

// text says what is wrong with a value.
func text(e *jsonschema.ValidationError) string {
	if isUnnamed(e) {
		return "the document does not have this field"
	}
	return e.ErrorKind.LocalizedString(english)
}

// isUnnamed reports whether a value is of a member that no schema names.
func isUnnamed(e *jsonschema.ValidationError) bool {
	_, is := e.ErrorKind.(*kind.FalseSchema)
	return is
}

// causes returns what is wrong with a value. If a member is wrong, all around
// it seem to be unnamed too: they are left out.
func causes(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	all := leaves(e)
	deepest, areUnnamed := depth(all), true
	for _, e := range all {
		areUnnamed = areUnnamed && isUnnamed(e)
	}
	return slices.DeleteFunc(all, func(e *jsonschema.ValidationError) bool {
		return isUnnamed(e) && (!areUnnamed || len(e.InstanceLocation) < deepest)
	})
}

// leaves returns the errors that have no cause of their own. Of alternatives it
// returns those of the one that applies best.
func leaves(e *jsonschema.ValidationError) (all []*jsonschema.ValidationError) {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	_, isOne := e.ErrorKind.(*kind.OneOf)
	_, isAny := e.ErrorKind.(*kind.AnyOf)
	for _, cause := range e.Causes {
		found := leaves(cause)
		switch {
		case !isOne && !isAny:
			all = append(all, found...)
		case depth(found) > depth(all) || all == nil:
			all = found
		}
	}
	return all
}

// depth returns how deep in a value the deepest error is.
func depth(all []*jsonschema.ValidationError) (deepest int) {
	for _, e := range all {
		deepest = max(deepest, len(e.InstanceLocation))
	}
	return deepest
}

// isOfGateway reports whether API Gateway itself gave an answer. Those of
// functions have a request id.
func isOfGateway(a answers.Answer) bool {
	body := bodyOf(a)
	_, isText := body["message"].(string)
	return a.Status >= 400 && len(body) == 1 && isText && a.Header.Get("X-Request-Id") == ""
}

// codeOf returns the code of a problem, and nothing of any other answer.
func codeOf(a answers.Answer) string {
	if !isProblem(a) {
		return ""
	}
	code, _ := bodyOf(a)["code"].(string)
	return code
}

func isProblem(a answers.Answer) bool {
	return a.Header.Get("Content-Type") == "application/problem+json"
}

func bodyOf(a answers.Answer) object {
	value, _ := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	return members(value)
}
