// Command local serves the whole API on this machine. It runs the functions of
// template.yaml behind a stand-in for API Gateway. If REDIS_HOST is not set, it
// starts an embedded Redis. docs/configuration.md lists the variables; APP_ENV
// defaults to local.
//
// It listens on the loopback interface only. Generated keys and the data of the
// embedded Redis are lost when it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/answers"
	"latchkey/local/gateway"
	"latchkey/local/page"
	"latchkey/shared/authorizer"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/openapi"
	"latchkey/shared/redisconn"
	"latchkey/shared/session"
	"latchkey/shared/verifierclient"
)

const usage = `Usage: local [-template file]

Serves the whole API on this machine, at PORT (3000). If REDIS_HOST is not set, it
starts an embedded Redis. docs/configuration.md lists all variables.

Open http://localhost:3000/ in a browser to try it. Any page on localhost may sign
in, on every port, unless SIWE_DOMAINS is set.

What happens to accounts and sessions is published as events: on the page, and in
the log. To post them to a receiver, set EVENTS=webhook with EVENT_WEBHOOK_URL and
EVENT_WEBHOOK_SECRET. EVENTS= publishes nothing.

The admin console is at /console. Without ADMIN_ADDRESSES and REDIS_HOST it offers
a throw-away admin. To make a wallet an admin, run ADMIN_ADDRESSES=0x... make run
with its address. "go run ./local/sign new" makes a throw-away wallet and prints
its address.

`

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	template := flag.String("template", "",
		"the SAM template to serve; default: template.yaml in this folder or one above")
	flag.Parse()
	boot.CollectLess(os.Getenv)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, *template, os.LookupEnv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx is done and every request under way has its response. It
// writes one line to out when it is ready, and the log to errs.
func run(
	ctx context.Context, templatePath string, lookup lookup, out, errs io.Writer,
) error {
	getenv := config.LocalByDefault(lookup.get)
	log := boot.NewLoggerFor(getenv, errs, isTerminal(errs))
	cfg, err := load(ctx, getenv, log)
	if err != nil {
		return err
	}
	closeRedis, err := embedRedis(&cfg)
	if err != nil {
		return err
	}
	defer closeRedis()
	onThisMachine(&cfg)
	logEvents(&cfg, lookup)
	admin, err := newThrowAwayAdmin(&cfg)
	if err != nil {
		return err
	}
	env := awsenv.New(log)
	service, err := boot.NewService(context.Background(), cfg, env, verifierclient.New)
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	defer service.Close()
	all := functions(service, cfg)
	all[adminConsole] = newConsole(cfg, admin, log)
	feed, err := addPublisher(all, cfg, service, env)
	if err != nil {
		return err
	}
	s, err := newDeployment(templatePath, cfg, all, log)
	if err != nil {
		return err
	}
	defer s.example.close()
	defer s.schedules.stop() // before the connections to Redis are closed
	handler, err := page.New(cfg, time.Now, withThrowAwayAdmin(s.handler, admin))
	if err != nil {
		return err
	}
	feed.attach(s.example)
	served := service.API.OnlyLocalHosts(withFeed(handler, feed))
	return serve(ctx, served, cfg.Port, func() {
		fmt.Fprintln(out, ready(cfg, s.example != nil))
		s.schedules.start()
	})
}

// load reads the configuration and tries the Redis that it names. The first line
// that somebody reads says what is wrong, so nothing is logged before, and
// misspelt variables come after it. A server without its Redis would answer
// every request with 503: it does not start.
func load(
	ctx context.Context, getenv func(string) string, log *slog.Logger,
) (config.Config, error) {
	boot.LogLibraries(slog.New(slog.DiscardHandler))
	cfg, err := config.Load(getenv)
	if err != nil {
		err = fmt.Errorf("the configuration is not valid:\n%w", err)
	} else if cfg.Redis.Host != "" {
		err = redisconn.Check(ctx, cfg.Redis, awsenv.New(log), session.StartKeys(cfg.Session.Prefix))
	}
	if err != nil {
		for _, problem := range config.Unknown(awsenv.Variables()) {
			err = fmt.Errorf("%w\n%s", err, problem)
		}
		return config.Config{}, err
	}
	boot.LogLibraries(log)
	boot.LogUnknown(log, awsenv.Variables())
	// The default of go-redis: unlike a Lambda, this process serves many
	// requests at a time.
	cfg.Redis.PoolSize = 0
	return cfg, nil
}

// isTerminal reports whether somebody reads what is written to w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// embedRedis starts an embedded Redis if the configuration names none. It uses a
// free loopback port, and its TTLs follow the clock. The function that is
// returned ends it.
func embedRedis(cfg *config.Config) (end func(), err error) {
	if cfg.Redis.Host != "" {
		return func() {}, nil
	}
	engine := miniredis.NewMiniRedis()
	engine.ClockTTL(true)
	if err := engine.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("starting the embedded Redis: %w", err)
	}
	cfg.Redis.Addr = engine.Addr()
	return engine.Close, nil
}

// deployment is what the templates deploy: routes, schedules and, if it is not
// nil, the example of a guarded API.
type deployment struct {
	handler   http.Handler
	schedules *schedules
	example   *protectedAPI
}

// newDeployment serves the template and the example with these functions.
func newDeployment(
	templatePath string, cfg config.Config, all map[string]lambda.Handler, log *slog.Logger,
) (deployment, error) {
	if templatePath == "" {
		var err error
		if templatePath, err = findTemplate(); err != nil {
			return deployment{}, err
		}
	}
	template, err := readTemplate(templatePath)
	if err != nil {
		return deployment{}, err
	}
	schedulePublisher(template, all)
	opts := gatewayOptions(cfg, log)
	handler, err := gateway.New(template, all, opts)
	if err != nil {
		return deployment{}, fmt.Errorf("template.yaml and local/functions.go differ:\n%w", err)
	}
	opts.Authorizer = all[guard]
	example, err := newProtectedAPI(templatePath, opts)
	if err != nil {
		return deployment{}, err
	}
	return deployment{
		handler:   withProtected(answers.Record(handler), example),
		schedules: newSchedules(template, all, log),
		example:   example,
	}, nil
}

// functions puts each handler behind the adapter that a Lambda uses.
func functions(service *boot.Service, cfg config.Config) map[string]lambda.Handler {
	all := map[string]lambda.Handler{
		sweeper: service.WithKeyRefresh(lambdahttp.Sweep(service.API.Sweep)),
		guard:   service.WithKeyRefresh(authorizer.New(service.API, cfg.AuthorizerRules)),

		description: openapi.Handler{},
	}
	for id, route := range handlers {
		handler := lambdahttp.NewHandler(route(service.API), cfg.API.Domains[0])
		all[id] = service.WithKeyRefresh(handler)
	}
	return all
}

// ready returns the line that says how to use the server.
func ready(cfg config.Config, guards bool) string {
	url := fmt.Sprintf("http://localhost:%d", cfg.Port)
	generated := cfg.Generated
	line := "Latchkey listens on " + url + ", for sign-in to " + signInPages(cfg)
	if cfg.Redis.Host == "" {
		generated = append(generated, "an embedded Redis")
	} else {
		line += ", with Redis at " + cfg.Redis.Addr
	}
	line += "."
	if len(generated) > 0 {
		line += " Generated for this run: " + strings.Join(generated, ", ") + "."
	}
	if guards {
		line += " The authorizer guards an example API at " + url + protectedPrefix + "/orders," +
			" and a WebSocket at " + protectedPrefix + "/ws."
	}
	line += " The admin console is at " + consoleOrigin(cfg) + "/console."
	return line + " Open " + url + "/ in a browser, or try: curl '" + url +
		"/auth/nonce?transport=bearer'"
}

func readTemplate(path string) (*gateway.Template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	return gateway.Parse(text)
}

// findTemplate returns the path of template.yaml in the working directory or
// the nearest directory above it.
func findTemplate() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for template.yaml: %w", err)
	}
	for {
		path := filepath.Join(folder, "template.yaml")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if filepath.Dir(folder) == folder {
			return "", errors.New("no template.yaml in this folder or one above:" +
				" run this in the project's folder, or name the file with -template")
		}
		folder = filepath.Dir(folder)
	}
}
