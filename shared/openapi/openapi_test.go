package openapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"latchkey/docs"
	"latchkey/local/answers"
	"latchkey/shared/openapi"
	"latchkey/shared/secureheaders"
)

// answer is a response of payload format 2.0.
type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// ask sends a request as API Gateway does.
func ask(t *testing.T, method string, headers map[string]string) answer {
	t.Helper()
	payload, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": method + " /openapi.json", "headers": headers,
		"requestContext": map[string]any{"requestId": "hyxWz2Mu7H5REDA=", "http": map[string]string{"method": method}},
	})
	if err != nil {
		t.Fatal(err)
	}
	output, err := answers.Handler(openapi.Handler{}).Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestHandler(t *testing.T) {
	tag := ask(t, "GET", nil).Headers["ETag"]
	if len(tag) != 34 {
		t.Errorf("the entity tag is %s", tag)
	}
	for name, c := range map[string]struct {
		method  string
		headers map[string]string
		status  int
	}{
		"GET":                    {"GET", nil, 200},
		"HEAD":                   {"HEAD", nil, 200},
		"another tag":            {"GET", map[string]string{"if-none-match": `"0"`}, 200},
		"a tag without quotes":   {"GET", map[string]string{"if-none-match": tag[1:33]}, 200},
		"the beginning of a tag": {"GET", map[string]string{"if-none-match": tag[:20]}, 200},
		"If-Match":               {"GET", map[string]string{"if-match": tag}, 200},
		"the tag":                {"GET", map[string]string{"if-none-match": tag}, 304},
		"in another spelling":    {"GET", map[string]string{"If-None-Match": tag}, 304},
		"with HEAD":              {"HEAD", map[string]string{"if-none-match": tag}, 304},
		"weak":                   {"GET", map[string]string{"if-none-match": "W/" + tag}, 304},
		"one of several":         {"GET", map[string]string{"if-none-match": `"0", ` + tag + ` ,"1"`}, 304},
		"any":                    {"GET", map[string]string{"if-none-match": "*"}, 304},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, c.method, c.headers)
			body, headers := "", maps.Clone(secureheaders.Values)
			headers["Cache-Control"], headers["ETag"], headers["X-Request-Id"] = "no-cache", tag, "hyxWz2Mu7H5REDA="
			if c.status == http.StatusOK {
				headers["Content-Type"] = "application/json"
				if c.method == "GET" {
					body = string(docs.OpenAPI)
				}
			}
			if got.StatusCode != c.status || got.Body != body || !maps.Equal(got.Headers, headers) {
				t.Errorf("%d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
		})
	}
}

func TestHandler_wrongEvent(t *testing.T) {
	for _, payload := range []string{``, `null`, `{}`, `[]`, `{"httpMethod":"GET"}`, `{"requestContext":{"http":{"method":7}}}`} {
		if got, err := (openapi.Handler{}).Invoke(t.Context(), []byte(payload)); err == nil {
			t.Errorf("%s is answered %s", payload, got)
		}
	}
}

// Whatever an event holds, the answer is the document, 304, or an error.
func FuzzHandler(f *testing.F) {
	f.Add([]byte(`{"headers":{"if-none-match":"*"},"requestContext":{"http":{"method":"GET"}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		output, err := openapi.Handler{}.Invoke(t.Context(), payload)
		if err != nil {
			return
		}
		var got answer
		if err := json.Unmarshal(output, &got); err != nil {
			t.Fatal(err)
		}
		isEmpty := got.Body == ""
		if got.StatusCode == 304 && !isEmpty || !isEmpty && got.Body != string(docs.OpenAPI) || got.Headers["X-Request-Id"] == "" {
			t.Errorf("%d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
		}
		if got.StatusCode != 200 && got.StatusCode != 304 {
			t.Errorf("answered %d", got.StatusCode)
		}
	})
}
