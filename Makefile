# The help text of a target follows ## on its line.

# ARCH is the architecture for which sam build compiles functions: arm64, or
# amd64 for Architecture=x86_64.
ARCH       ?= arm64
FUZZTIME   ?= 1m
SOAK       ?= 10m
SESSIONS   ?= 20000
EXPIRED    ?= 1000
REDIS_PORT ?= 6379

BUILD_FLAGS  := -tags lambda.norpc -trimpath -buildvcs=false -ldflags "-s -w"
STATICCHECK  := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
SHELL_FILES  := .ci/run
DURABLE      := replication-group CacheEngineVersion=9.0 CacheDurability=sync CacheNodeType=cache.r7g.large
CONTRACTS    := serverless EthereumRpcSecretArn=arn:aws:secretsmanager:us-east-1:000000000000:secret:latchkey-rpc-AbCdEf
WITH_CONSOLE := serverless Console=api.example.com
WITH_EVENTS  := serverless Events=eventbridge
TO_A_WEBHOOK := existing Events=webhook EventWebhookUrl=https://hooks.example.com/latchkey \
	EventWebhookSecretArn=arn:aws:secretsmanager:us-east-1:000000000000:secret:latchkey-webhook-AbCdEf

.DEFAULT_GOAL := help
.PHONY: help run service-key test soak sizes build lint fuzz mutants bench bench-scale cold-start redis sam-local sam-sweep clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1 \2/p' $(MAKEFILE_LIST) | awk '{printf "%-16s", $$1 " " $$2; $$1 = $$2 = ""; print}'

# Without go run: it exits with 1 on Ctrl-C, whatever the program's status is.
# The binary is built without optimisation and without C. That halves the time of
# the first build, which a new user waits for. Benchmarks do not use this binary.
run: ## serve the API on this machine, on PORT=3000
	@command -v go >/dev/null || { echo "Go 1.26.8 or later is needed: https://go.dev/dl"; exit 1; }
	@test -x build/local || echo "compiling; the first time takes a minute" >&2
	@CGO_ENABLED=0 go build -gcflags='all=-N -l' -o build/local ./local && exec build/local

# NAME comes from the environment, where make puts it: the shell does not read it.
service-key: ## make the service key of a backend, NAME=orders, and its item for SERVICE_KEYS
	@go run ./local/service-key "$$NAME"

test: ## run all tests, with the race detector
	@for engine in redis valkey; do command -v $$engine-server >/dev/null || \
		echo "no $$engine-server found: apt-get install $$engine-server (or brew install $$engine); tests that need it are skipped, in CI they fail"; \
	done
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		echo "no chromium found: apt-get install chromium (or brew install chromium); tests that need it are skipped, in CI they fail"
	@for program in python3 ruby; do command -v $$program >/dev/null || \
		echo "no $$program found: apt-get install $$program (or brew install $$program); tests that need it are skipped, in CI they fail"; \
	done
	@if ! $(has_node); then \
		echo "no node 20 and npm found: apt-get install nodejs npm (or brew install node); tests of wallets in JavaScript and of the client are skipped, in CI they fail"; \
	else \
		$(install_packages) || echo "npm ci failed in client; tests of wallets in JavaScript and of the client are skipped, in CI they fail"; \
	fi
	@rm -rf build/test/answers && mkdir -p build/test/answers
	ANSWERS="$(CURDIR)/build/test/answers" go test -count=1 -race -shuffle=on -timeout 30m ./shared/session ./... # the longest first
	@cat build/test/reports/*.txt
	@$(test_client)
	@go run ./local/test/openapi build/test/answers

# Reports whether there is Node, as client/package.json requires it.
has_node = { command -v npm && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; } >/dev/null 2>&1

has_packages     = test client/node_modules/.package-lock.json -nt client/package-lock.json
install_packages = { $(has_packages) || npm ci --prefix client --no-audit --no-fund --loglevel error; }

# In CI it fails without Node. What the tests print is shown if one fails.
test_client = if test "$$CI" = true || { $(has_node) && $(has_packages); }; then \
	echo "npm test --prefix client"; mkdir -p build/test; \
	if ANSWERS="$(CURDIR)/build/test/answers" FORCE_COLOR=0 npm test --prefix client >build/test/client.log 2>&1; then grep -E '^[^ ]+ pass [0-9]+$$' build/test/client.log; \
	else cat build/test/client.log; exit 1; fi; \
	else mkdir -p build/test/answers && echo '{"package":"latchkey/client","skipped":"no node found"}' >build/test/answers/client.jsonl; fi

soak: ## use a cluster of each engine, for SOAK=10m in all, with a fault every second or two, and check every answer
	go test -count=1 -timeout 0 -run '^TestSoak$$' ./local/test/faults -soak $(SOAK) && cat build/test/reports/soak-*.txt

sizes: ## compare the functions' binary sizes for ARCH=arm64 with docs/performance.md (make test does it for this machine)
	go test ./local/test/lambdatest -run TestSizes -arch $(ARCH)

build: ## compile every function for both architectures into build/<architecture>/<function>/bootstrap
	@set -e; for arch in arm64 amd64; do for folder in functions/*/; do \
		out=build/$$arch/$$(basename "$$folder")/bootstrap; echo "$$out"; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build $(BUILD_FLAGS) -o "$$out" "./$$folder"; \
	done; done

lint: ## check formatting, Go, the client's types, the templates (cfn-lint, for every CacheMode, a durable one, contract wallets, the console and events) and the shell files
	@unformatted=$$(gofmt -l client/*.go docs functions local shared) && test -z "$$unformatted" || { echo "gofmt -w $$unformatted"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	@$(has_node) || { echo "node 20 and npm are needed: apt-get install nodejs npm"; exit 1; }
	@$(install_packages)
	npm run lint --prefix client
	@command -v cfn-lint >/dev/null || { echo "cfn-lint is needed: pip install cfn-lint"; exit 1; }
	@set -e; for mode in serverless replication-group existing '$(DURABLE)' '$(CONTRACTS)' '$(WITH_CONSOLE)' '$(WITH_EVENTS)' '$(TO_A_WEBHOOK)'; do \
		echo "cfn-lint template.yaml, CacheMode=$$mode"; cfn-lint --parameters CacheMode=$$mode -- template.yaml; \
	done
	cfn-lint local/protected-api/template.yaml local/protected-api/websocket/template.yaml
	@command -v shellcheck >/dev/null || { echo "shellcheck is needed: apt-get install shellcheck"; exit 1; }
	shellcheck $(SHELL_FILES)

fuzz: ## run every fuzz test for FUZZTIME=1m
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package"; \
		done; \
	done

mutants: ## weaken each invariant's check in one line and check that a test fails
	@go run ./local/test/mutants

bench: ## benchmark the hot paths from event to response, on a redis-server, for benchstat
	@go test -run '^$$' -bench . -benchmem -benchtime 5000x -count 10 ./shared/boot

# Two million sessions take minutes to create, and two gigabytes of memory:
# SESSIONS=2000000 EXPIRED=100000.
#
# The benchmark and the servers that it starts share the last CPU that make may
# use. On several CPUs the ratios depend on which process runs where.
bench-scale: ## benchmark on one CPU with SESSIONS=20000 live sessions and a sweep of EXPIRED=1000, for benchstat
	@if command -v taskset >/dev/null; then \
		pin="taskset -c $$(taskset -cp $$$$ | sed 's/.*[^0-9]//')"; \
	else \
		pin=env; \
		echo "taskset not found: the benchmark runs on all CPUs, and its ratios are not comparable" >&2; \
	fi; \
	go test -exec "$$pin" -run '^$$' -bench Scale -benchtime 3x -count 5 -timeout 0 ./shared/session -sessions $(SESSIONS) -expired $(EXPIRED)

cold-start: ## measure and print docs/performance.md's table of sizes and cold starts
	@go test ./local/test/lambdatest -run '^$$' -bench ColdStart -benchtime 20x | awk '/^BenchmarkColdStart/ { \
		sub(/BenchmarkColdStart\//, "", $$1); sub(/-[0-9]+$$/, "", $$1); \
		for (i = 3; i < NF; i += 2) value[$$(i + 1)] = $$i; \
		printf "| `%s` | %.1f | %.1f | %.1f [%.1f–%.1f] |\n", $$1, value["MB-arm64"], value["MB-amd64"], value["ms"], value["ms-p10"], value["ms-p90"] }'

redis: ## start a redis-server in the foreground, in memory only, on REDIS_PORT=6379
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || \
		{ echo "no redis-server found: apt-get install redis-server (or brew install redis)"; exit 1; }
	$$(command -v redis-server || command -v valkey-server) --bind 127.0.0.1 --port $(REDIS_PORT) --save '' --appendonly no --maxmemory-policy noeviction

# Containers must be of this machine's architecture: others need emulation. sam
# uses its own names for architectures. SIWE_DOMAINS names the domains of the
# pages, as for make run; their origins are those that CORS allows.
sam-local sam-sweep: ARCH = $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
sam-local sam-sweep: SIWE_DOMAINS ?= localhost:3000
sam-local sam-sweep: local_parameters = --parameter-overrides Architecture=$(ARCH) \
	SiweDomains=$(SIWE_DOMAINS) Origins=http://$(subst $(comma),$(comma)http://,$(SIWE_DOMAINS))

comma := ,
compose := docker compose --file local/docker-compose.yml

# What the functions share is compiled before sam build starts several compilers:
# each would compile it for itself. The shell stops Valkey however it ends, also
# on Ctrl-C, and waits for sam before that.
sam-local: ## serve the functions as built for Lambda, in containers, with sam local, on port 3000
	@for tool in sam docker; do command -v $$tool >/dev/null || { echo "$$tool is needed for this; make run needs Go alone"; exit 1; }; done
	$(compile_for_lambda) ./shared/...
	ARCH=$(ARCH) sam build --parallel $(local_parameters)
	@trap 'exit 1' HUP INT TERM; trap '$(compose) down' EXIT; $(compose) up --detach --wait && \
		sam local start-api --env-vars local/env.json --docker-network latchkey --warm-containers LAZY $(local_parameters)

sam-sweep: ## sweep once, beside make sam-local, which runs no schedule
	sam local invoke SweepSessionsFunction --env-vars local/env.json --docker-network latchkey $(local_parameters)

clean: ## delete the output of make build, the tests and sam build
	rm -rf build .aws-sam local/protected-api/.aws-sam local/protected-api/websocket/.aws-sam

# sam build calls build-<logical id> with ARTIFACTS_DIR set. It does not say for
# which architecture: ARCH does.
compile_for_lambda = CGO_ENABLED=0 GOOS=linux GOARCH=$(patsubst x86_64,amd64,$(ARCH)) go build $(BUILD_FLAGS)
bootstrap          = $(compile_for_lambda) -o "$(ARTIFACTS_DIR)/bootstrap" $(1)

# The folder of LogIn is functions/log-in.
folder  = functions/$(shell echo '$(1)' | sed 's/\([a-z0-9]\)\([A-Z]\)/\1-\2/g' | tr A-Z a-z)
compile = $(if $(wildcard $(1)/main.go),$(call bootstrap,./$(1)),$(error no function $*Function: there is no $(1)/main.go))

build-%Function: ; $(call compile,$(call folder,$*))

# The examples have their own templates.
build-OrdersFunction: ; $(call bootstrap,./local/protected-api)
build-WebSocketFunction: ; $(call bootstrap,./local/protected-api/websocket)
build-CloseSocketsFunction: ; $(call bootstrap,./local/protected-api/close-sockets)
