package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/config"
)

// Run is a function's main: it serves one route as a Lambda and does not return. What is wrong with the configuration
// goes to the log in one entry, and the process ends with status 1. On SIGTERM, which Lambda sends before it takes an
// instance away, the connections to Redis are closed and the process ends with status 0.
func Run(route func(*api.API) http.Handler) {
	run(func(cfg config.Config, service *Service) lambda.Handler {
		return NewLambda(route(service.API), cfg.API.Domains[0])
	})
}

// RunSweep is the main of the function that a schedule calls. It does as Run does, with the sweep in place of a route.
func RunSweep() {
	run(func(_ config.Config, service *Service) lambda.Handler { return NewSweep(service.API.Sweep) })
}

// RunAuthorizer is the main of the function that guards other APIs. It does as Run does, with API Gateway's questions in
// place of a route.
func RunAuthorizer() {
	run(func(cfg config.Config, service *Service) lambda.Handler {
		return authorizer.New(service.API, cfg.AuthorizerRules)
	})
}

func run(handler func(config.Config, *Service) lambda.Handler) {
	out := &lines{w: os.Stdout}
	log := NewLogger(out)
	LogLibraries(log)
	// Lambda sets the name. It is no configuration: elsewhere nobody takes metrics out of a log.
	metric := NewMetric(out, os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), time.Now)
	cfg, service, err := start(os.Getenv, log, metric)
	if err != nil {
		log.Error("configuration", "problems", strings.Split(err.Error(), "\n"))
		os.Exit(1)
	}
	stop := func() {
		if err := service.Close(); err != nil {
			log.Error("closing Redis", "error", err.Error())
		}
		os.Exit(0)
	}
	spareCalls()
	CollectLess(os.Getenv)
	lambda.StartWithOptions(service.Keep(handler(cfg, service)), lambda.WithEnableSIGTERM(stop))
}

// spareCalls has the client of the Runtime API, which is made of the default transport, send each answer at once, and not
// offer to unpack what is never packed. It acts on the whole process and belongs in a main.
func spareCalls() {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t.DisableCompression = true
		t.DialContext = sendWhole(t.DialContext)
	}
}

// CollectLess lets a quarter of the usual collections do: little is alive here, and each costs the event that it falls into
// more than that event itself. GOGC and GOMEMLIMIT of the environment stand. It acts on the whole process and belongs in a
// main.
func CollectLess(getenv func(string) string) {
	const percent, share = 400, 0.75 // of Lambda's memory, close to which it collects as often as it takes
	if getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if megabytes, err := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")); err == nil && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(share * float64(megabytes<<20)))
	}
}

func start(getenv func(string) string, log *slog.Logger, metric func(api.Metric, float64)) (config.Config, *Service, error) {
	cfg, err := config.Load(getenv)
	if err != nil {
		return cfg, nil, err
	}
	// Every function is a process of its own: keys that one made up would be worthless to the next.
	if len(cfg.Generated) > 0 {
		return cfg, nil, errors.New(strings.Join(cfg.Generated, ", ") + ": a function makes up no key; set the same for all functions")
	}
	cfg.API.Metric = metric
	service, err := New(cfg, log)
	return cfg, service, err
}

// LogLibraries makes what libraries print entries of log. It acts on the whole process and belongs in a main.
func LogLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	redis.SetLogger(clientLog{log})
}

// clientLog takes what the Redis client has to say of its connections.
type clientLog struct{ log *slog.Logger }

// Printf implements the interface that redis.SetLogger wants.
func (c clientLog) Printf(ctx context.Context, format string, args ...any) {
	c.log.WarnContext(ctx, "redis client", "detail", fmt.Sprintf(format, args...))
}
