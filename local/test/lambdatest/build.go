package lambdatest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Build compiles the functions of the module at root as they are deployed, for this machine, and returns the folder of the
// binaries, each under the name of its own folder. Nobody may write there: all tests share it, and it stays. What is up to
// date the go command leaves alone, so that of several packages, and of several runs, only the first has to link.
func Build(t testing.TB, root string) string {
	t.Helper()
	return BuildFor(t, root, runtime.GOOS, runtime.GOARCH)
}

// BuildFor is Build for another machine.
func BuildFor(t testing.TB, root, system, architecture string) string {
	t.Helper()
	shared := filepath.Join(root, "build", "test")
	dir := folder(t, shared, system+"-"+architecture)
	// Beside the binaries, so that each is renamed into its place, whole. The dot hides it from patterns of packages.
	work := folder(t, shared, ".work")
	lock := locked(t, dir+".lock")
	defer lock.Close()
	run := func(arguments ...string) string {
		t.Helper()
		var output strings.Builder
		command := exec.Command("go", arguments...)
		command.Dir, command.Stderr = root, &output
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture, "GOTMPDIR="+work)
		command.ExtraFiles = []*os.File{lock} // where this process is killed, the lock holds until the command has ended, too
		out, err := command.Output()
		if err != nil {
			t.Fatalf("building the functions: %v\n%s", err, &output)
		}
		return string(out)
	}
	const packages = "./functions/..."
	deleteOthers(t, dir, strings.Fields(run("list", packages)))
	run("build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+string(filepath.Separator), packages)
	return dir
}

// folder makes a folder, unless it is there, and returns its whole path.
func folder(t testing.TB, parent, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(parent, name))
	must(t, err)
	must(t, os.MkdirAll(path, 0o755))
	return path
}

// locked opens a file once nobody else has it open so.
func locked(t testing.TB, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	must(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	return file
}

// deleteOthers deletes what is in a folder of binaries and is none of these packages, such as a function that was renamed.
func deleteOthers(t testing.TB, dir string, packages []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if !slices.ContainsFunc(packages, func(path string) bool { return filepath.Base(path) == e.Name() }) {
			must(t, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
