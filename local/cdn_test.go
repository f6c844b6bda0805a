package main

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// cdnPage is the page that says how to put a CDN in front.
const cdnPage = "docs/cdn.md"

// The commands of the page for one's own machine work: the secret decides who is served, also through the stand-in for API
// Gateway, and neither the log nor the ready line has it.
func TestMain_behindACDN(t *testing.T) {
	page := read(t, cdnPage)
	served := regexp.MustCompile(`ORIGIN_VERIFY_SECRET=(\S+) CLIENT_ADDRESS_HEADER=(\S+) make run`).FindStringSubmatch(page)
	if served == nil {
		t.Fatalf("%s shows no command to serve", cdnPage)
	}
	secret, header := served[1], served[2]
	if !strings.Contains(page, `curl -H 'x-origin-verify: `+secret+`' -H '`+header+`: 198.51.100.7' localhost:3000/health`) {
		t.Errorf("%s shows no request that is served", cdnPage)
	}
	s := start(t, "ORIGIN_VERIFY_SECRET="+secret, "CLIENT_ADDRESS_HEADER="+header)
	for name, c := range map[string]struct {
		secrets []string
		path    string
		status  int
	}{
		"through the CDN": {[]string{secret}, "/health", 200}, "past it": {nil, "/health", 403}, "with the secret twice": {[]string{secret, secret}, "/health", 403},
		"a nonce past it": {nil, "/auth/nonce", 403}, "the guarded example past it": {nil, "/protected/orders", 401},
	} {
		r, err := http.NewRequest("GET", s.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["X-Origin-Verify"] = c.secrets
		r.Header.Set(header, "198.51.100.7")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, c.status)
		}
	}
	if rest, err := s.stop(t, os.Interrupt); err != nil || strings.Contains(rest+s.ready+s.errs.String(), secret) {
		t.Errorf("%v, printed %q and %s", err, rest, &s.errs)
	}
	if log := s.errs.String(); !strings.Contains(log, `"ip":"198.51.100.7"`) || !strings.Contains(log, `"code":"edge_required"`) {
		t.Errorf("the log is %s", log)
	}
}

// readHeader matches where the code reads a header of a request.
var readHeader = regexp.MustCompile(`[hH]eader(?:\.(?:Get|Values)\(|\[)"([A-Z][A-Za-z-]+)"`)

// The page names every header that an origin request policy must pass: those that the code reads, the host, and the viewer's
// address. It says that nothing is cached, and which policies pass them.
func TestCDN_pageNamesEveryHeader(t *testing.T) {
	want := map[string]string{
		"Host": "the host", "Sec-Fetch-Site": "Fetch Metadata", "Sec-Fetch-Mode": "Fetch Metadata", "User-Agent": "the device",
		"CloudFront-Viewer-Address": "the viewer's address", "x-origin-verify": "the secret", "CachingDisabled": "the cache policy",
		"AllViewerAndCloudFrontHeaders-2022-06": "a policy", "AllViewerExceptHostHeader": "a policy", "event.viewer.ip": "the function",
	}
	for file := range importsOfFiles(t) {
		if !isWithin(file, "shared/api") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range readHeader.FindAllStringSubmatch(read(t, file), -1) {
			want[m[1]] = file
		}
	}
	if len(want) < 14 {
		t.Errorf("only %d names were found", len(want))
	}
	page := strings.ToLower(read(t, cdnPage))
	for name, from := range want {
		if name != "Set-Cookie" && !strings.Contains(page, strings.ToLower(name)) {
			t.Errorf("%s does not have %s, of %s", cdnPage, name, from)
		}
	}
}
