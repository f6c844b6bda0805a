package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// restoration is one run of a restore.
type restoration struct {
	api      *client
	progress *progress
	out      io.Writer

	restored int            // by this run
	refused  map[string]int // by the code of the first refusal
}

// restore plays an export back.
func restore(
	ctx context.Context, o options, newClient func() (*client, error), out io.Writer,
) error {
	export, err := readFile(o.file)
	if err != nil {
		return err
	}
	if export.next != "" && !o.partial {
		return fmt.Errorf("%s is not complete: its last line is the cursor of the next page\n"+
			"Export again with -export, or append the page of &cursor=%.100s; "+
			"-partial restores what is there", o.file, export.next)
	}
	if len(export.accounts) == 0 {
		return fmt.Errorf("%s has no accounts", o.file)
	}
	p, err := openProgress(o.file+".progress", origin{export.hash, o.url})
	if err != nil {
		return err
	}
	defer p.file.Close()
	r := &restoration{progress: p, out: out, refused: map[string]int{}}
	if len(p.done) == len(export.accounts) {
		fmt.Fprintf(out, "%s is restored already: all %d accounts are done. "+
			"To restore it again, delete %s.progress.\n", o.file, len(p.done), o.file)
		return nil
	}
	if n := len(p.done); n > 0 {
		fmt.Fprintf(out, "%d of %d accounts are done, as %s.progress says. "+
			"If the data was lost again since then, delete it and begin again.\n",
			n, len(export.accounts), o.file)
	}
	if r.api, err = newClient(); err != nil {
		return err
	}
	err = r.all(ctx, export.accounts)
	return errors.Join(err, r.summarize(len(export.accounts)))
}

// all restores the accounts that are not done, and ends at the first problem
// that is not about one account alone.
func (r *restoration) all(ctx context.Context, accounts []account) error {
	caller, err := r.caller(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a.isNamed() && a.account.String() == caller.Account && a.user.String() != caller.ID {
			r.progress.moved = true
		}
	}
	for _, a := range inOrder(accounts, caller) {
		if r.progress.done[a.line] {
			continue
		}
		if err := r.one(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// user is an account in an answer.
type user struct {
	ID      string `json:"id"`
	Account string `json:"account"`
}

// caller asks whose token it is.
func (r *restoration) caller(ctx context.Context) (user, error) {
	return r.ask(ctx, http.MethodGet, "/api/profile", nil)
}

// ask sends a request whose answer has a user.
func (r *restoration) ask(
	ctx context.Context, method, path string, body any,
) (user, error) {
	got, err := r.api.call(ctx, method, path, "application/json", body)
	if err != nil {
		return user{}, err
	}
	var view struct {
		User user `json:"user"`
	}
	if err := json.Unmarshal(got.body, &view); err != nil || view.User.ID == "" {
		return user{}, fmt.Errorf("%s %s: the answer is not one of the API: check -url",
			method, path)
	}
	return view.User, nil
}

// inOrder returns the accounts in the order in which they are restored. The
// caller is the last, because it may lose its permissions by it. Accounts with
// a name come first: their answers show whether user ids are still the same. Of
// each kind the blocked ones come first: until then they may sign in.
func inOrder(accounts []account, caller user) []account {
	rank := func(a account) (n int) {
		if a.user.String() == caller.ID || a.String() == caller.Account {
			n += 4
		}
		if !a.isNamed() {
			n += 2
		}
		if !a.blocked {
			n++
		}
		return n
	}
	return slices.SortedStableFunc(slices.Values(accounts), func(a, b account) int {
		return cmp.Compare(rank(a), rank(b))
	})
}

// one restores one account. It returns an error if the run cannot go on.
func (r *restoration) one(ctx context.Context, a account) error {
	if !a.isNamed() && r.progress.moved {
		r.report(a, "refused", "user_id: the lookup key is not that of the export, "+
			"so no account has this user id", "user_id")
		return nil
	}
	moved, err := r.set(ctx, a)
	var refused *refusal
	if err != nil {
		if !errors.As(err, &refused) {
			return fmt.Errorf("line %d, %v: %w", a.line, a, err)
		}
		r.report(a, "refused", strings.ReplaceAll(err.Error(), "\n", "; "), refused.Code)
		return nil
	}
	if err := r.progress.add(doneLine{a.line, moved}); err != nil {
		return err
	}
	text := a.describe()
	if moved {
		text += "; its user id is another now"
	}
	r.restored++
	r.report(a, "restored", text, "")
	return nil
}

// set sets the block and the roles of an account. If one of them is refused, it
// sets the other all the same. It reports whether the account has another user
// id now.
func (r *restoration) set(ctx context.Context, a account) (moved bool, err error) {
	path := "/api/admin/users/" + a.String()
	var refused *refusal
	if a.blocked {
		body := map[string]string{}
		if a.note != "" {
			body["note"] = a.note
		}
		_, err = r.api.call(ctx, http.MethodPost, path+"/block", "application/json", body)
		if err != nil && !errors.As(err, &refused) {
			return false, err
		}
		err = about("block", err)
	}
	roles := map[string][]string{"roles": a.roles}
	changed, errRoles := r.ask(ctx, http.MethodPut, path+"/roles", roles)
	if errRoles != nil && !errors.As(errRoles, &refused) {
		return false, errRoles
	}
	moved = errRoles == nil && changed.ID != a.user.String()
	r.progress.moved = r.progress.moved || moved
	return moved, errors.Join(err, about("roles", errRoles))
}

// about names what was refused.
func about(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// describe says what a restore sets. A note is personal, so its text is not
// shown.
func (a account) describe() string {
	text := "no roles"
	if len(a.roles) > 0 {
		text = "roles " + strings.Join(a.roles, ",")
	}
	switch {
	case a.note != "":
		text += "; blocked, with a note"
	case a.blocked:
		text += "; blocked"
	}
	return text
}

// report writes one line about an account, and counts a refusal by its code.
func (r *restoration) report(a account, outcome, text, code string) {
	if code != "" {
		r.refused[code]++
	}
	fmt.Fprintf(r.out, "line %d: %v: %s: %s\n", a.line, a, outcome, text)
}

// summarize writes what the run did. It returns an error if accounts were
// refused.
func (r *restoration) summarize(total int) error {
	refused, reasons := 0, []string{}
	for _, code := range slices.Sorted(maps.Keys(r.refused)) {
		refused += r.refused[code]
		reasons = append(reasons, fmt.Sprintf("%s %d", code, r.refused[code]))
	}
	done := len(r.progress.done)
	fmt.Fprintf(r.out, "Restored %d, skipped %d that were done before, refused %d, "+
		"left %d of %d accounts.\n",
		r.restored, done-r.restored, refused, total-done-refused, total)
	if r.progress.moved {
		fmt.Fprintln(r.out, "User ids differ from those of the export: the lookup key is another. "+
			"Accounts without a name cannot be restored.")
	}
	if refused == 0 {
		return nil
	}
	return fmt.Errorf("%d accounts were refused: %s\nThe lines above say why. "+
		"Running the same command again tries these again", refused, strings.Join(reasons, ", "))
}
