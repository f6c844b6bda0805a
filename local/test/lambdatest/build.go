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

// Build compiles the functions of the module at root as they are deployed, for
// this machine. It returns the folder of the binaries; each has the name of its
// function's folder. Nobody may write there: all tests share it, and it is not
// deleted. The go command leaves alone what is up to date, so only the first
// package, and the first run, has to link.
func Build(t testing.TB, root string) string {
	t.Helper()
	return BuildFor(t, root, runtime.GOOS, runtime.GOARCH)
}

// BuildFor does the same as [Build] for another machine.
func BuildFor(t testing.TB, root, system, architecture string) string {
	t.Helper()
	shared := filepath.Join(root, "build", "test")
	dir := folder(t, shared, system+"-"+architecture)
	// The work folder is beside the binaries, so that each binary is renamed
	// into its place complete. The dot hides the folder from package patterns.
	work := folder(t, shared, ".work")
	lock := locked(t, dir+".lock")
	defer lock.Close()
	run := func(arguments ...string) string {
		t.Helper()
		var output strings.Builder
		command := exec.Command("go", arguments...)
		command.Dir, command.Stderr = root, &output
		command.Env = append(os.Environ(),
			"CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture, "GOTMPDIR="+work)
		// If this process is killed, the lock is held until the command ends.
		command.ExtraFiles = []*os.File{lock}
		out, err := command.Output()
		if err != nil {
			t.Fatalf("building the functions: %v\n%s", err, &output)
		}
		return string(out)
	}
	const packages = "./functions/..."
	deleteOthers(t, dir, strings.Fields(run("list", packages)))
	run("build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w",
		"-o", dir+string(filepath.Separator), packages)
	return dir
}

// folder makes a folder if it does not exist, and returns its absolute path.
func folder(t testing.TB, parent, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(parent, name))
	must(t, err)
	must(t, os.MkdirAll(path, 0o755))
	return path
}

// locked opens a file and waits until no other process has locked it.
func locked(t testing.TB, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	must(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	return file
}

// deleteOthers deletes everything in a folder of binaries that does not belong
// to one of the packages, such as a function that was renamed.
func deleteOthers(t testing.TB, dir string, packages []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		own := func(path string) bool { return filepath.Base(path) == e.Name() }
		if !slices.ContainsFunc(packages, own) {
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
