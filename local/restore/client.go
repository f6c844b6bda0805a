package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// client calls the API with one token.
type client struct {
	base  string // its address, without a slash at the end
	token string
	agent string
	http  *http.Client
	wait  func(context.Context, time.Duration) error
}

// refusal is an answer that concerns one account alone.
type refusal struct {
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Permission string `json:"permission"`
}

// Error implements error.
func (r *refusal) Error() string {
	text := r.Code + ": " + r.Detail
	if r.Permission != "" {
		text += " (" + r.Permission + ")"
	}
	return text
}

const (
	maxAttempts = 6
	maxWait     = time.Minute
	maxAnswer   = 16 << 20 // bytes
)

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request. It repeats it while the API is unavailable, asks to
// wait, or does not answer: a repeated request changes nothing more. The error
// is a [*refusal], or else ends the run.
func (c *client) call(
	ctx context.Context, method, path, accept string, body any,
) (got answer, err error) {
	var sent []byte
	if body != nil {
		if sent, err = json.Marshal(body); err != nil {
			return got, err
		}
	}
	for attempt := 1; ; attempt++ {
		got, err = c.send(ctx, method, path, accept, sent)
		pause, again := pauseAfter(got, err, attempt)
		if !again {
			return got, c.problem(method+" "+path, got, err)
		}
		if attempt == maxAttempts || pause > maxWait {
			return got, c.unavailable(got, err, pause)
		}
		if err := c.wait(ctx, pause); err != nil {
			return got, errors.New("interrupted: run the same command again to go on")
		}
	}
}

func (c *client) send(
	ctx context.Context, method, path, accept string, body []byte,
) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set("Accept", accept)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return answer{response.StatusCode, response.Header, read}, err
}

// pauseAfter says whether to repeat a request, and how long to wait before.
func pauseAfter(got answer, err error, attempt int) (pause time.Duration, again bool) {
	if errors.Is(err, context.Canceled) {
		return 0, false
	}
	if err == nil && !slices.Contains([]int{429, 502, 503, 504}, got.status) {
		return 0, false
	}
	pause = time.Second << (attempt - 1)
	if n, err := strconv.Atoi(got.header.Get("Retry-After")); err == nil && n > 0 {
		pause = max(pause, time.Duration(min(n, 1<<20))*time.Second)
	}
	return pause, true
}

// unavailable is the error of a request that was repeated in vain.
func (c *client) unavailable(got answer, err error, pause time.Duration) error {
	if err != nil {
		return fmt.Errorf("%s does not answer: %s\n"+
			"Check -url. Run the same command again to go on",
			c.base, c.clean(err.Error()))
	}
	return fmt.Errorf("%s answers %d, and asks to wait %v\n"+
		"Run the same command again then to go on", c.base, got.status, pause)
}

// problem returns the error that an answer is, or nil.
func (c *client) problem(route string, got answer, err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: run the same command again to go on")
	}
	if got.status == http.StatusOK || got.status == http.StatusNoContent {
		return nil
	}
	var p refusal
	_ = json.Unmarshal(got.body, &p) // without a code it is not an answer of the API
	p.Code, p.Detail, p.Permission = c.clean(p.Code), c.clean(p.Detail), c.clean(p.Permission)
	switch got.status {
	case 400, 403, 409:
		if slices.Contains([]string{"invalid_request", "forbidden", "conflict"}, p.Code) {
			return &p
		}
	case 401:
		return signInAgain(p)
	case 301, 302, 303, 307, 308:
		return fmt.Errorf("%s answers with a redirect, which is not followed: "+
			"pass the address of the API itself as -url", c.base)
	}
	return fmt.Errorf("%s: answered %d %s %s\nCheck -url and the version of the API. "+
		"Then run the same command again to go on", route, got.status,
		cmp.Or(p.Code, "by something else than the API"), p.Detail)
}

// signInAgain says why a token is refused, and what to do.
func signInAgain(p refusal) error {
	if p.Code == "step_up_required" {
		return errors.New("step_up_required: the login is older than STEP_UP_MINUTES, or the " +
			"token was issued to another device than -user-agent shows\n" +
			"Sign in again or step up, and run the same command again with the new token " +
			"to go on")
	}
	return fmt.Errorf("%s: the token is not accepted any more: %s\n"+
		"Sign in again, and run the same command again with the new token to go on",
		p.Code, p.Detail)
}

// clean returns a text of somebody else so that it can be printed: one line,
// not long, and without the token.
func (c *client) clean(text string) string {
	text = strings.ReplaceAll(text, c.token, "(token)")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return text
}
