package boot

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/secrets"
	"latchkey/shared/verifier"
)

// Run is the main of a function with a route: it serves the route as a Lambda
// and does not return. If the configuration is not valid, one log entry has all
// problems and the process ends with status 1. On SIGTERM, which Lambda sends
// before it removes an instance, it closes the connections to Redis and the
// process ends with status 0.
func Run(route func(*api.API) http.Handler) { RunWithVerifier(route, nil) }

// RunWithVerifier is the main of a function whose route asks about contract
// wallets: it signs in, steps up or refreshes. It differs from [Run] in that it
// asks the function verify-signature, by such a client, if the configuration
// names it.
func RunWithVerifier(route func(*api.API) http.Handler, newClient NewVerifierClient) {
	run(newClient, func(cfg config.Config, service *Service) lambda.Handler {
		return lambdahttp.NewHandler(route(service.API), cfg.API.Domains[0])
	})
}

// RunSweep is the main of the function that a schedule calls. It differs from
// [Run] in that it sweeps and serves no route.
func RunSweep() {
	run(nil, func(_ config.Config, service *Service) lambda.Handler {
		return lambdahttp.Sweep(service.API.Sweep)
	})
}

// RunAuthorizer is the main of the function that guards other APIs. It differs
// from [Run] in that it answers API Gateway's authorizer events.
func RunAuthorizer() {
	run(nil, func(cfg config.Config, service *Service) lambda.Handler {
		return authorizer.New(service.API, cfg.AuthorizerRules)
	})
}

// RunRotation is the main of the function that rotates keys. It differs from
// [Run] in that it needs no Redis. Of the configuration it reads
// SESSION_KEYS_SECRET_ARN alone.
func RunRotation() {
	env := newEnvironment(os.Stdout)
	log := env.Log
	rotation, err := secrets.NewRotation(env)
	if err != nil {
		log.Error("configuration", "problems", []string{err.Error()})
		os.Exit(1)
	}
	lambda.StartWithOptions(rotation, lambda.WithEnableSIGTERM(func() { os.Exit(0) }))
}

// RunVerifier is the main of the function that asks chains about the signatures
// of contract wallets. It differs from [Run] in that it needs neither Redis nor
// keys. Other functions invoke it directly.
func RunVerifier() {
	serve(func(env awsenv.Environment, out io.Writer) (lambda.Handler, func() error, error) {
		handler, err := newVerifier(env, out)
		return handler, func() error { return nil }, err
	})
}

// newVerifier makes the function of [RunVerifier]. Metrics are written to out.
func newVerifier(env awsenv.Environment, out io.Writer) (lambda.Handler, error) {
	cfg, err := config.LoadVerifier(env.Getenv)
	if err != nil {
		return nil, err
	}
	cfg.API.Metric = lambdahttp.NewMetric(out, env.Getenv("AWS_LAMBDA_FUNCTION_NAME"), env.Now)
	contracts, chains, err := newContracts(context.Background(), cfg, env, nil)
	if err != nil {
		return nil, err
	}
	handler := verifier.NewHandler(contracts, env.Log, cfg.API.Metric)
	if chains != nil {
		return chains.WithRefresh(handler), nil
	}
	return handler, nil
}

func run(newClient NewVerifierClient, handler func(config.Config, *Service) lambda.Handler) {
	serve(func(env awsenv.Environment, out io.Writer) (lambda.Handler, func() error, error) {
		cfg, service, err := start(env, out, config.Load, newClient)
		if err != nil {
			return nil, nil, err
		}
		return service.WithKeyRefresh(handler(cfg, service)), service.Close, nil
	})
}

// serve runs a function that is made in the environment of the process. Metrics
// are written to the same place as the log. The function that is returned with
// it is called at the end.
func serve(start func(awsenv.Environment, io.Writer) (lambda.Handler, func() error, error)) {
	out := &lines{w: os.Stdout}
	env := newEnvironment(out)
	log := env.Log
	function, end, err := start(env, out)
	if err != nil {
		log.Error("configuration", "problems", strings.Split(err.Error(), "\n"))
		os.Exit(1)
	}
	stop := func() {
		if err := end(); err != nil {
			log.Error("closing Redis", "error", err.Error())
		}
		os.Exit(0)
	}
	coalesceReplies()
	CollectLess(env.Getenv)
	lambda.StartWithOptions(function, lambda.WithEnableSIGTERM(stop))
}

// newEnvironment returns the environment of a function. Its log is the one of
// the libraries too, and has a line about variables that look misspelt.
func newEnvironment(out io.Writer) awsenv.Environment {
	env := awsenv.New(nil)
	env.Log = NewLoggerFor(env.Getenv, out, false)
	LogLibraries(env.Log)
	LogUnknown(env.Log, awsenv.Variables())
	return env
}

// loading is [config.Load], or one like it.
type loading func(getenv func(string) string) (config.Config, error)

// start makes the service of a function. Metrics are written to out.
func start(
	env awsenv.Environment, out io.Writer, load loading, newClient NewVerifierClient,
) (config.Config, *Service, error) {
	cfg, err := load(env.Getenv)
	if err != nil {
		return cfg, nil, err
	}
	// Every function is a process of its own: another one could not use keys
	// that this one generated.
	if len(cfg.Generated) > 0 {
		return cfg, nil, errors.New(strings.Join(cfg.Generated, ", ") +
			": must be set in a function; give each variable one value, the same in all functions")
	}
	// Lambda sets the name. Without it the log is not CloudWatch's, and nothing
	// reads metrics out of it.
	cfg.API.Metric = lambdahttp.NewMetric(out, env.Getenv("AWS_LAMBDA_FUNCTION_NAME"), env.Now)
	service, err := NewService(context.Background(), cfg, env, newClient)
	return cfg, service, err
}

// coalesceReplies makes the client of Lambda's Runtime API, which clones the
// default transport, send each response in one write, and not ask for
// compression, which the Runtime API does not have. It acts on the whole
// process, so only a main calls it.
func coalesceReplies() {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t.DisableCompression = true
		t.DialContext = lambdahttp.Coalesce(t.DialContext)
	}
}

// CollectLess makes the garbage collector run a quarter as often as usual:
// little memory is in use, and a collection costs the event that it falls into
// more than that event itself. GOGC and GOMEMLIMIT take precedence if they are
// set. It acts on the whole process, so only a main calls it.
func CollectLess(getenv func(string) string) {
	// The share of Lambda's memory near which the collector runs as often as
	// needed.
	const percent, share = 400, 0.75
	if getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	megabytes, err := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err == nil && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(share * float64(megabytes<<20)))
	}
}
