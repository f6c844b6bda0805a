package lambdatest_test

import (
	"debug/buildinfo"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey/local/test/lambdatest"
)

const root = "../../.."

// environment is enough to begin with: keys at hand, and a Redis that is asked only by the first event.
var environment = []string{
	"SESSION_SECRET=q8Zt2LmX7vRb4KcW9nYf3HsD6jPgT1eU", "SESSION_ENCRYPTION_KEY=Jw5Nx8Qa2Vd7Zk4Rm9Tb6Lc3Yh1Pf0Gs",
	"SESSION_KEYS_SECRET_ARN=", "SIWE_DOMAINS=app.example.com", "REDIS_HOST=127.0.0.1",
}

// rotation is the one function that wants a secret in place of keys.
var rotation = []string{
	"SESSION_KEYS_SECRET_ARN=arn:aws:secretsmanager:eu-central-1:000000000000:secret:keys", "AWS_REGION=eu-central-1",
	"AWS_ACCESS_KEY_ID=role", "AWS_SECRET_ACCESS_KEY=role",
}

func environmentOf(name string) []string {
	switch name {
	case "rotate-keys":
		return rotation
	case "get-openapi":
		return nil
	case "publish-events":
		return append(slices.Clone(environment), "EVENTS=log")
	case "serve-console":
		return []string{"CONSOLE=api.example.com", "SIWE_DOMAINS=api.example.com"}
	case "verify-signature":
		return []string{`ETHEREUM_RPC={"1":["https://rpc.invalid"]}`}
	}
	return environment
}

func binaries(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 30 {
		t.Fatalf("%d binaries, %v", len(entries), err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// linksSDK reports whether a binary has AWS' SDK in it.
func linksSDK(t testing.TB, path string) bool {
	t.Helper()
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return strings.HasPrefix(m.Path, "github.com/aws/aws-sdk-go-v2") })
}

// The most that a binary may have, in bytes, with AWS' SDK and without.
const (
	mostWithSDK = 14_000_000
	most        = 10_000_000
)

// arch is that of this machine unless set otherwise, since for it the functions are built anyway; to build them for
// another one, too, takes a minute.
var arch = flag.String("arch", runtime.GOARCH, "the architecture whose binaries TestSizes looks at, arm64 or amd64")

// sizesPage is the page with the table of sizes.
const sizesPage = "docs/performance.md"

var row = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([0-9.]+) \\| ([0-9.]+) \\| [0-9.]+ \\[")

// TestSizes checks that the binaries, as they are deployed, are within their
// bounds and have the sizes that the documentation gives.
func TestSizes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, sizesPage))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	column := map[string]int{"arm64": 2, "amd64": 3}[*arch]
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[column]
	}
	dir := lambdatest.BuildFor(t, root, "linux", *arch)
	names := binaries(t, dir)
	for _, name := range names {
		path := filepath.Join(dir, name)
		bound := int64(most)
		if linksSDK(t, path) {
			bound = mostWithSDK
		}
		got := size(t, path)
		if got > bound {
			t.Errorf("%s has %d bytes, over %d", name, got, bound)
		}
		megabytes, err := strconv.ParseFloat(documented[name], 64)
		if err != nil || float64(got)/1e6 > megabytes*1.05 || float64(got)/1e6 < megabytes*0.95 {
			t.Errorf("%s: %s has %q MB; it has %.1f MB", sizesPage, name, documented[name], float64(got)/1e6)
		}
	}
	if len(documented) != len(names) {
		t.Errorf("%s has %d functions; there are %d", sizesPage, len(documented), len(names))
	}
}

// BenchmarkColdStart is the time from the start of a process to its asking for the first event, which Lambda calls Init, by
// function: the median, and the values below which a tenth and nine tenths lie; and the size for each architecture.
func BenchmarkColdStart(b *testing.B) {
	sizes := map[string]string{"MB-arm64": lambdatest.BuildFor(b, root, "linux", "arm64"), "MB-amd64": lambdatest.BuildFor(b, root, "linux", "amd64")}
	own := lambdatest.Build(b, root)
	for _, name := range binaries(b, own) {
		b.Run(name, func(b *testing.B) {
			var all []float64
			for b.Loop() {
				f := lambdatest.Start(b, filepath.Join(own, name), environmentOf(name)...)
				all = append(all, float64(f.Init(b).Microseconds())/1000)
				f.Stop()
			}
			slices.Sort(all)
			for unit, dir := range sizes {
				b.ReportMetric(float64(size(b, filepath.Join(dir, name)))/1e6, unit)
			}
			b.ReportMetric(all[len(all)/2], "ms")
			b.ReportMetric(all[len(all)/10], "ms-p10")
			b.ReportMetric(all[len(all)*9/10], "ms-p90")
			b.ReportMetric(0, "ns/op")
		})
	}
}
