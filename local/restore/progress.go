package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// progress is the file that says which lines of an export are restored. It has
// a line about the export, and one for each account that is done. A line counts
// only with its end: the last may be torn if the process or the machine
// stopped.
type progress struct {
	file  *os.File
	done  map[int]bool
	moved bool // whether an account has another user id than in the export
}

// origin is what a progress file is about.
type origin struct {
	SHA256 string `json:"sha256"` // of the export
	URL    string `json:"url"`
}

// doneLine says that a line of the export is restored.
type doneLine struct {
	Line  int  `json:"line"`
	Moved bool `json:"moved,omitempty"` // the account has another user id now
}

// openProgress opens a progress file, or begins one.
func openProgress(path string, about origin) (*progress, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the progress: %w", err)
	}
	complete := text[:bytes.LastIndexByte(text, '\n')+1]
	if isUnused(complete) {
		complete = nil
	}
	p := &progress{done: map[int]bool{}}
	if err := p.read(path, complete, about); err != nil {
		return nil, err
	}
	p.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("writing the progress: %w", err)
	}
	err = p.file.Truncate(int64(len(complete)))
	if err == nil && len(complete) == 0 {
		err = errors.Join(p.write(about), syncFolder(path))
	}
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// isUnused reports whether a progress file has no account that is done. Such a
// file is begun again: it may be about a mistyped address.
func isUnused(text []byte) bool {
	var about origin
	return bytes.Count(text, []byte("\n")) == 1 && json.Unmarshal(text, &about) == nil
}

// read reads the complete lines of a progress file.
func (p *progress) read(path string, text []byte, about origin) error {
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	if len(text) == 0 {
		return nil
	}
	var was origin
	if err := json.Unmarshal(lines[0], &was); err != nil {
		return damaged(path)
	}
	switch {
	case was.URL != about.URL:
		return fmt.Errorf("%s is about %.200q, and -url is %s: "+
			"to restore there from the beginning, delete it", path, was.URL, about.URL)
	case was.SHA256 != about.SHA256:
		return fmt.Errorf("the export has changed since %s was begun: "+
			"use the export as it was; or delete that file to begin again, which does no harm",
			path)
	}
	for _, line := range lines[1:] {
		var done doneLine
		if err := json.Unmarshal(line, &done); err != nil || done.Line < 1 {
			return damaged(path)
		}
		p.done[done.Line], p.moved = true, p.moved || done.Moved
	}
	return nil
}

func damaged(path string) error {
	return fmt.Errorf("%s is damaged: delete it to begin again, which does no harm", path)
}

// add records that a line of the export is restored. It returns once that is
// stored for good.
func (p *progress) add(line doneLine) error {
	p.done[line.Line], p.moved = true, p.moved || line.Moved
	return p.write(line)
}

func (p *progress) write(line any) error {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = p.file.Write(append(text, '\n'))
	}
	if err == nil {
		err = p.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing the progress: %w", err)
	}
	return nil
}

// syncFolder makes the name of a new file last.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
