package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// account is one line of an export, as far as a restore sets it.
type account struct {
	line    int
	user    token.UserID
	account token.Account // zero if only the user id is known
	roles   []string      // those to store
	blocked bool
	note    string // of the block; empty if it has none
}

// String returns the account's name, or its user id if it has none.
func (a account) String() string {
	if a.isNamed() {
		return a.account.String()
	}
	return a.user.String()
}

// isNamed reports whether the line has more than the user id.
func (a account) isNamed() bool { return a.account != (token.Account{}) }

// entry is a line of an export. Members that a restore needs are nil if they
// are missing.
type entry struct {
	User *struct {
		ID          string    `json:"id"`
		Address     string    `json:"address"`
		Account     string    `json:"account"`
		Wallet      string    `json:"wallet"`
		Roles       *[]string `json:"roles"`
		Permissions []string  `json:"permissions"`
		CreatedAt   string    `json:"createdAt"`
		LastLoginAt string    `json:"lastLoginAt"`
	} `json:"user"`
	Sessions    int       `json:"sessions"`
	Blocked     *bool     `json:"blocked"`
	BlockedAt   string    `json:"blockedAt"`
	Note        string    `json:"note"`
	LastSeenAt  string    `json:"lastSeenAt"`
	StoredRoles *[]string `json:"storedRoles"`
	Next        *string   `json:"next"`
}

const (
	maxLine = 1 << 20 // bytes
	maxNote = 200     // characters
)

// parseLine reads a line: an account, or the cursor of the next page. Its
// errors do not have the text of a note.
func parseLine(line []byte) (a account, next *string, err error) {
	var e entry
	if err := json.Unmarshal(line, &e, json.RejectUnknownMembers(true)); err != nil {
		return a, nil, explain(err)
	}
	if e.Next != nil {
		if alone := (entry{Next: e.Next}); e != alone || !cursorText.MatchString(*e.Next) {
			return a, nil, errors.New("next must be a cursor, alone on its line")
		}
		return a, e.Next, nil
	}
	switch {
	case e.User == nil || e.User.Roles == nil:
		return a, nil, errors.New("user.roles is missing")
	case e.Blocked == nil:
		return a, nil, errors.New("blocked is missing")
	}
	if err := a.readUser(&e); err != nil {
		return a, nil, err
	}
	a.blocked, a.note = *e.Blocked, e.Note
	if a.roles, err = rolesToStore(*e.User.Roles, e.StoredRoles); err != nil {
		return a, nil, err
	}
	return a, nil, a.checkNote()
}

// explain says what is wrong with a line in the words of its members.
func explain(err error) error {
	var semantic *json.SemanticError
	switch {
	case !errors.As(err, &semantic) || semantic.JSONPointer == "":
		return errors.New("it is not one JSON object, or has a member twice")
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%.80q is not a member of an account", semantic.JSONPointer)
	}
	return fmt.Errorf("%.80q has a value of another type", semantic.JSONPointer)
}

// readUser reads who the account is.
func (a *account) readUser(e *entry) error {
	id, err := token.ParseReference(e.User.ID)
	if err != nil || id.User == (token.UserID{}) || id.User.String() != e.User.ID {
		return fmt.Errorf("user.id %.80q is not a user id", e.User.ID)
	}
	a.user = id.User
	if e.User.Account == "" {
		if e.User.Address != "" || e.User.Wallet != "" {
			return errors.New("user.account is missing, beside user.address or user.wallet")
		}
		return nil
	}
	a.account, err = token.ParseAccount(e.User.Account)
	if err != nil || !a.isNamed() {
		return fmt.Errorf("user.account %.80q is not an account", e.User.Account)
	}
	address, name := a.account.Names()
	if name != e.User.Account || address != e.User.Address ||
		string(a.account.Wallet()) != e.User.Wallet {
		return errors.New("user.address, user.account and user.wallet do not belong together")
	}
	return nil
}

// cursorText matches the cursor of a page, which messages show.
var cursorText = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

var roleName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// rolesToStore returns the stored roles of an account: those that the line
// names, or else all that it has. The role user is not stored.
func rolesToStore(all []string, stored *[]string) ([]string, error) {
	if stored == nil {
		stored = &all
	}
	roles := []string{}
	for _, role := range *stored {
		switch {
		case !roleName.MatchString(role):
			return nil, fmt.Errorf("%.80q is not the name of a role", role)
		case slices.Contains(roles, role):
			return nil, fmt.Errorf("the role %q is there twice", role)
		case !slices.Contains(all, role):
			return nil, fmt.Errorf("storedRoles has %q, which user.roles lacks", role)
		case role != session.RoleUser:
			roles = append(roles, role)
		}
	}
	return roles, nil
}

func (a *account) checkNote() error {
	switch {
	case a.note != "" && !a.blocked:
		return errors.New("note is there without a block")
	case utf8.RuneCountInString(a.note) > maxNote,
		strings.ContainsFunc(a.note, unicode.IsControl):
		return errors.New("note must be up to 200 characters of visible text")
	}
	return nil
}

// contents are what a file has.
type contents struct {
	accounts []account
	next     string // the cursor of the next page, if the file ends with one
	hash     string // SHA-256 of all bytes, in hexadecimal
}

// maxProblems is how many lines at fault an error names.
const maxProblems = 10

// readFile reads an export to its end. The error names the lines at fault.
func readFile(path string) (c contents, err error) {
	file, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("opening the export: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	lines := bufio.NewScanner(io.TeeReader(file, hash))
	lines.Buffer(nil, maxLine)
	problems, seen := []error{}, map[token.UserID]int{}
	number := 1
	for ; lines.Scan() && len(problems) < maxProblems; number++ {
		if err := c.add(lines.Bytes(), number, seen); err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", number, err))
		}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, fmt.Errorf("line %d: %w", number, err))
	}
	if len(problems) > 0 {
		return c, fmt.Errorf("%s is not an export, and nothing was changed:\n%w\n"+
			"An export has one account on each line, as -export writes it",
			path, errors.Join(problems...))
	}
	c.hash = hex.EncodeToString(hash.Sum(nil))
	return c, nil
}

// add reads the next line. The map seen has the line of each account.
func (c *contents) add(text []byte, number int, seen map[token.UserID]int) error {
	a, next, err := parseLine(bytes.TrimSpace(text))
	if err != nil {
		return err
	}
	if next != nil {
		c.next = *next
		return nil
	}
	if first := seen[a.user]; first > 0 {
		return fmt.Errorf("it is the account of line %d again: delete one of the lines", first)
	}
	seen[a.user], a.line, c.next = number, number, ""
	c.accounts = append(c.accounts, a)
	return nil
}
