package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/url"
	"os"

	"latchkey/shared/token"
)

// export writes all accounts that hold roles or a block into a new file. The
// file is there once it is complete.
func export(
	ctx context.Context, o options, newClient func() (*client, error), out io.Writer,
) error {
	if _, err := os.Lstat(o.file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already: name a new file", o.file)
	}
	api, err := newClient()
	if err != nil {
		return err
	}
	unfinished := o.file + ".unfinished"
	file, err := createPrivate(unfinished)
	if err != nil {
		return fmt.Errorf("creating the export: %w", err)
	}
	n, err := writePages(ctx, api, file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("the export is not complete: %w", err), os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, o.file); err != nil {
		return fmt.Errorf("naming the export: %w", err)
	}
	fmt.Fprintf(out, "Exported %d accounts into %s.\n", n, o.file)
	return syncFolder(o.file)
}

// lines asks for lines of JSON. An answer that says nothing of them is refused:
// an empty one would be taken for the last page.
func (c *client) lines(ctx context.Context, path string) ([]byte, error) {
	const linesType = "application/x-ndjson"
	got, err := c.call(ctx, "GET", path, linesType, nil)
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(got.header.Get("Content-Type")); kind != linesType {
		return nil, fmt.Errorf("the answer of GET %s is not %s: check -url", path, linesType)
	}
	return got.body, nil
}

// createPrivate creates a file that only its owner may read, since notes are
// personal, or write, since a restore believes it. What has that name, such as
// the file of a run that was killed, is deleted: it may be somebody else's, or
// lead to another file.
func createPrivate(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// writePages writes the accounts of all pages, and returns their number.
func writePages(ctx context.Context, api *client, file io.Writer) (int, error) {
	const path = "/api/admin/users?limit=100"
	c, seen, number := contents{}, map[token.UserID]int{}, 0
	for cursor := ""; ; cursor = c.next {
		page := path
		if cursor != "" {
			page += "&cursor=" + url.QueryEscape(cursor)
		}
		text, err := api.lines(ctx, page)
		if err != nil {
			return 0, err
		}
		c.next = ""
		for line := range bytes.Lines(text) {
			number++
			if err := c.add(line, number, seen); err != nil {
				return 0, fmt.Errorf("the answer of GET %s is not an export: %w", page, err)
			}
			if c.next != "" {
				continue // the cursor is for this run alone
			}
			if _, err := file.Write(line); err != nil {
				return 0, err
			}
		}
		if c.next == "" {
			return len(c.accounts), nil
		}
		if c.next == cursor {
			return 0, fmt.Errorf("GET %s answers with the same page again", page)
		}
	}
}
