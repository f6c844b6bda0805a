// Package report saves what a test wants to report, so that make can print it:
// go test does not print the output of packages that pass. It also ends tests
// whose programs are missing.
package report

import (
	"errors"
	"os"
	"path/filepath"
)

// Write writes a report to build/test/reports of the module that contains the
// working directory. It replaces the last report of that name.
func Write(name, text string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(root) == root {
			return errors.New("no go.mod here or in a folder above")
		}
		root = filepath.Dir(root)
	}
	folder := filepath.Join(root, "build", "test", "reports")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name+".txt"), []byte(text+"\n"), 0o644)
}
