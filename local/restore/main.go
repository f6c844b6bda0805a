// Command restore exports the roles, blocks and notes of a deployment into a
// file, and plays such a file back. It uses the API alone, with the access
// token of an admin. docs/backup.md says when.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `Usage: restore -url URL FILE < token
       restore -url URL -export FILE < token

Sets the roles, blocks and notes of the accounts in FILE, which has one account on
each line, as GET /api/admin/users answers with Accept: application/x-ndjson. It
reads FILE to the end before it changes anything. It never lifts a block.

With -export it writes such a FILE, of all accounts that hold roles or a block.

The access token (lka_...) of an admin who has just signed in is read from standard
input. If the run ends early, run the same command again, with a new token: it goes
on where it stopped. FILE.progress has what is done: delete it if the data was lost
again since then.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, sleep); err != nil {
		fmt.Fprintln(os.Stderr, "restore:", err)
		os.Exit(1)
	}
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// options are the command line.
type options struct {
	url     string
	file    string
	agent   string
	export  bool
	partial bool
}

// run exports or restores. It writes to out what it did, and usage to errs.
func run(
	ctx context.Context, args []string, in io.Reader, out, errs io.Writer,
	wait func(context.Context, time.Duration) error,
) error {
	o, err := parse(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	newClient := func() (*client, error) {
		token, err := readToken(in)
		return &client{
			base: o.url, token: token, agent: o.agent, wait: wait,
			http: &http.Client{
				Timeout: time.Minute,
				// The token is for one host alone.
				CheckRedirect: func(*http.Request, []*http.Request) error {
					return http.ErrUseLastResponse
				},
			},
		}, err
	}
	if o.export {
		return export(ctx, o, newClient, out)
	}
	return restore(ctx, o, newClient, out)
}

func parse(args []string, errs io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("restore", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		_, _ = io.WriteString(errs, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.url, "url", "", "the address of the API, such as https://api.example.com")
	flags.BoolVar(&o.export, "export", false, "write FILE, which must not exist")
	flags.BoolVar(&o.partial, "partial", false, "restore a FILE that lacks the last pages")
	flags.StringVar(&o.agent, "user-agent", "curl/8 (restore)",
		"the User-Agent to send: a session is bound to the device that signed in")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() != 1 || flags.Arg(0) == "" {
		return o, errors.New("name one file, after all flags; see restore -help")
	}
	o.file = flags.Arg(0)
	if o.export && o.partial {
		return o, errors.New("-partial is for a restore: an export is complete")
	}
	o.url, err = readURL(o.url)
	return o, err
}

// readURL checks the address of the API, and returns it without a slash at the
// end. Without TLS the token may go to this machine alone.
func readURL(text string) (string, error) {
	u, err := url.Parse(text)
	if text == "" || err != nil || u.Host == "" || u.User != nil ||
		strings.ContainsAny(text, "?#") {
		return "", errors.New("-url must be the address of the API, " +
			"such as https://api.example.com")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return "", errors.New("-url must begin with https://: otherwise others can read the token")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// maxToken is more bytes than an access token has.
const maxToken = 4096

// readToken reads the access token. Its errors do not have what it read.
func readToken(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxToken))
	if err != nil {
		return "", fmt.Errorf("reading the token from standard input: %w", err)
	}
	token := strings.TrimSpace(string(text))
	hidden := func(r rune) bool { return r <= ' ' || r > '~' }
	if !strings.HasPrefix(token, "lka_") || strings.ContainsFunc(token, hidden) {
		return "", errors.New("standard input has no access token, which begins with lka_: " +
			"sign in with the transport bearer, and pass it as in " +
			"printf %s \"$TOKEN\" | restore …")
	}
	return token, nil
}
