package upgrade_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the project's folder, relative to this package's.
const root = "../../.."

// release is a version that may be deployed. This version must work beside it
// and after it, and the release must work after this version.
type release struct{ version, commit string }

// releases are all that the tests of this package check. Each has a fixture.
var releases = []release{
	{"0.1.0", "ce1db79c32866223ce85a256837ef149866efbe2"},
}

// version is a version that was built.
type version struct {
	name   string
	binary string // the local server
	source string // the folder, with the template that it serves
}

// build builds a release and this version.
func (r release) build(t *testing.T) (old, current version) {
	t.Helper()
	needGit(t)
	source := t.TempDir()
	err := r.extract(root, source)
	if errors.Is(err, errNoHistory) {
		fmt.Fprintln(os.Stderr, "version", r.version, "is not tested beside this one:", err)
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return newVersion(t, r.version, source), newVersion(t, thisVersion, here)
}

const thisVersion = "this version"

// needGit skips a test if git is not installed. In CI the test fails.
func needGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err == nil {
		return
	}
	const message = "no git found: apt-get install git (or brew install git)"
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// errNoHistory says that there is no history to get a release from.
var errNoHistory = errors.New("this source tree is not a git clone")

// extract writes the files of the release into a folder. They come from the
// history of a clone.
func (r release) extract(clone, folder string) error {
	if _, err := os.Stat(filepath.Join(clone, ".git")); errors.Is(err, fs.ErrNotExist) {
		return errNoHistory
	}
	if _, err := git(clone, "cat-file", "-e", r.commit+"^{commit}"); err != nil {
		what := "fetch the branch main"
		if shallow, _ := git(clone, "rev-parse", "--is-shallow-repository"); shallow == "true" {
			what = "run git fetch --unshallow"
		}
		return fmt.Errorf("version %s is commit %s, which this clone does not have: %s (%w)",
			r.version, r.commit, what, err)
	}
	archive := filepath.Join(folder, "source.zip")
	if _, err := git(clone, "archive", "--format=zip", "--output="+archive, r.commit); err != nil {
		return err
	}
	files, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer files.Close()
	return os.CopyFS(folder, files)
}

// git runs a git command in a clone and returns its output.
func git(clone string, arguments ...string) (string, error) {
	command := exec.Command("git", append([]string{"-C", clone}, arguments...)...)
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", arguments[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// newVersion builds the local server of a source folder, as functions are built
// for Lambda: then most of it need not be compiled again.
func newVersion(t *testing.T, name, source string) version {
	t.Helper()
	v := version{name: name, source: source, binary: filepath.Join(t.TempDir(), "local")}
	command := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath",
		"-buildvcs=false", "-ldflags", "-s -w", "-o", v.binary, "./local")
	command.Dir, command.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return v
}

// A shallow clone says how to get the release. A folder that is no clone has no
// release.
func TestRelease_missing(t *testing.T) {
	needGit(t)
	for _, r := range releases {
		if err := r.extract(t.TempDir(), t.TempDir()); !errors.Is(err, errNoHistory) {
			t.Errorf("%s without a clone: %v", r.version, err)
		}
		if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
			t.Skip(errNoHistory)
		}
		here, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		shallow := t.TempDir()
		if _, err := git(root, "clone", "--quiet", "--depth=1", "file://"+here, shallow); err != nil {
			t.Fatal(err)
		}
		err = r.extract(shallow, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), "run git fetch --unshallow") {
			t.Errorf("%s in a shallow clone: %v", r.version, err)
		}
	}
}
