// Command migrate gives a TTL to what version 0.1.0 stored for good:
// preferences, and accounts that have some. It adds accounts with roles or a
// block to the registry, which that version does not have. An operator runs it
// once after the upgrade from that version. docs/deploy.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
	"latchkey/shared/session"
)

const usage = `Usage: migrate [-dry-run] [-pause 10ms]

Gives a TTL to what version 0.1.0 stored for good: preferences, and accounts that
have some. They are kept for PREFERENCES_DAYS from now on. What has a TTL stays as
it is, so logins may go on meanwhile, and running it again does no harm.
Accounts with roles or a block are added to the list of GET /api/admin/users, by
their userId: each gets its name at its next login.

It connects to REDIS_HOST with the variables of the functions that begin with
REDIS_. REDIS_USERNAME must be a user that may scan keys: see docs/deploy.md.

`

func main() {
	boot.LogLibraries(boot.NewLogger(os.Stderr))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

// run migrates, and writes to out what it did. Usage and the log go to errs.
func run(
	ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer,
) error {
	how, err := parse(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	cfg, err := load(getenv)
	if err != nil {
		return err
	}
	env := awsenv.Environment{Getenv: getenv, Now: time.Now, Log: boot.NewLogger(errs)}
	client, err := redisconn.New(ctx, cfg.Redis, env)
	if err != nil {
		return fmt.Errorf("connecting to Redis: %w", err)
	}
	defer client.Close()
	// A migration opens nothing that is sealed, so it needs no keys.
	done, err := session.NewStore(client, nil, cfg.Session, env.Now).Migrate(ctx, how)
	fmt.Fprintln(out, summary(how, done))
	if err != nil {
		return fmt.Errorf("not complete; run it again, and it goes on with the rest: %w", err)
	}
	return nil
}

func parse(args []string, errs io.Writer) (session.Migration, error) {
	var how session.Migration
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		_, _ = io.WriteString(errs, usage)
		flags.PrintDefaults()
	}
	flags.BoolVar(&how.DryRun, "dry-run", false, "count, and change nothing")
	flags.DurationVar(&how.Pause, "pause", 10*time.Millisecond,
		"how long to rest after each hundred keys of Redis")
	if err := flags.Parse(args); err != nil {
		return how, err
	}
	if flags.NArg() > 0 {
		return how, fmt.Errorf("unexpected argument %q; see migrate -help", flags.Arg(0))
	}
	return how, nil
}

// load reads the configuration. APP_ENV defaults to local, so that only what a
// migration uses has to be set: generated keys seal nothing here.
func load(getenv func(string) string) (config.Config, error) {
	cfg, err := config.Load(config.LocalByDefault(getenv))
	if err != nil {
		return cfg, fmt.Errorf("the configuration is not valid:\n%w", err)
	}
	if cfg.Redis.Host == "" {
		return cfg, errors.New("REDIS_HOST: is needed; set it to the host that the functions use")
	}
	return cfg, nil
}

func summary(how session.Migration, done session.Migrated) string {
	set, added := "TTLs set", "Added to the registry"
	if how.DryRun {
		set, added = "TTLs that would be set", "To add to the registry"
	}
	text := fmt.Sprintf("%s: %d of preferences, %d of accounts. %s: %d accounts.",
		set, done.Preferences, done.Records, added, done.Registered)
	if done.Damaged > 0 {
		text += fmt.Sprintf(" Records that cannot be read, and are left alone: %d.", done.Damaged)
	}
	return text
}
