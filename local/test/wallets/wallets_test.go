package wallets_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/answers"
	"latchkey/local/test/evm"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/local/test/report"
)

const (
	root     = "../../.."
	packages = root + "/client/node_modules"
	anvil    = packages + "/@foundry-rs/anvil-linux-amd64/bin/anvil"
)

// stories are the scripts of this folder, each for one kind of wallet.
var stories = []string{"key", "solady", "safe", "delegated"}

// admin is the key of an admin.
var admin = evm.Key(4)

// howToGetNode is the message for a machine without Node or the packages.
const howToGetNode = "no node found, or not the packages in client: install Node and npm, and run npm ci in client"

// need ends a test if Node or the packages are missing.
func need(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		report.Missing(t, howToGetNode)
	}
	if _, err := os.Stat(filepath.Join(packages, ".package-lock.json")); err != nil {
		report.Missing(t, howToGetNode)
	}
}

// Wallets sign in with viem: on two EVMs, with two engines of Redis.
func TestWallets(t *testing.T) {
	need(t)
	binary := buildServer(t)
	compiled := filepath.Join(t.TempDir(), "compiled.json")
	if err := os.WriteFile(compiled, runScript(t, "compile"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("go-ethereum", func(t *testing.T) {
		node := evm.Start(t)
		node.Mine(t)
		tellStories(t, binary, node.URL, "COMPILED="+compiled)
	})
	t.Run("anvil", func(t *testing.T) {
		if _, err := os.Stat(anvil); err != nil {
			report.Missing(t, "no anvil among the packages in client: it is for Linux on x86-64 only")
		}
		r := redistest.Server(t)
		host, port, err := net.SplitHostPort(r.Addr)
		if err != nil {
			t.Fatal(err)
		}
		tellStories(t, binary, startAnvil(t), "COMPILED="+compiled, "REDIS_HOST="+host, "REDIS_PORT="+port,
			"REDIS_KEY_PREFIX="+r.Prefix, "REDIS_USERNAME="+r.Username, "REDIS_PASSWORD="+r.Password)
	})
}

// tellStories runs every story against a server that asks a chain.
func tellStories(t *testing.T, binary, rpc string, variables ...string) {
	api := startServer(t, binary, rpc, variables)
	variables = append(variables, "API="+api, "RPC="+rpc, fmt.Sprint("CHAIN=", evm.Chain),
		"RICH="+hexutil.Encode(crypto.FromECDSA(evm.Rich)), "ADMIN="+hexutil.Encode(crypto.FromECDSA(admin)))
	for _, story := range stories {
		t.Run(story, func(t *testing.T) { runScript(t, story, variables...) })
	}
}

// runScript runs a script of this folder, and returns what it prints.
func runScript(t *testing.T, name string, variables ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", name+".mjs")
	command.Env = append(os.Environ(), variables...)
	var errs strings.Builder
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s.mjs: %v\n%s", name, err, &errs)
	}
	return out
}

// buildServer compiles the local server.
func buildServer(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "local")
	if out, err := exec.Command("go", "build", "-o", binary, root+"/local").CombinedOutput(); err != nil {
		t.Fatalf("compiling the server: %v\n%s", err, out)
	}
	return binary
}

// startServer runs the local server until the test ends, and returns its URL.
// It checks contract wallets at each refresh.
func startServer(t *testing.T, binary, rpc string, variables []string) string {
	t.Helper()
	port := redistest.FreePort(t)
	command := exec.Command(binary)
	command.Dir = root
	command.Env = append([]string{
		fmt.Sprint("PORT=", port), fmt.Sprint("SIWE_CHAIN_IDS=", evm.Chain),
		fmt.Sprintf(`ETHEREUM_RPC={"%d":[%q]}`, evm.Chain, rpc), "WALLET_RECHECK_MINUTES=0.0001",
		"ADMIN_ADDRESSES=" + evm.AddressOf(admin).Hex(), "MAX_CONCURRENT_SESSIONS=3",
		"RATE_LIMIT_NONCE_PER_MINUTE=0", "RATE_LIMIT_LOGIN_PER_MINUTE=0", "RATE_LIMIT_REFRESH_PER_MINUTE=0",
	}, slices.Concat(answers.Environment(), variables)...)
	var log lambdatest.Output
	command.Stderr = &log
	t.Cleanup(func() { wantNoDefects(t, log.String()) })
	waitFor(t, command, regexp.MustCompile(`listens on`))
	return fmt.Sprintf("http://localhost:%d", port)
}

// defect is a log line of a fault or an answer that is not for clients to
// cause.
var defect = regexp.MustCompile(`(?m)^.*("level":"ERROR"|"msg":"unavailable"|"status":5).*$`)

func wantNoDefects(t *testing.T, log string) {
	t.Helper()
	for _, line := range defect.FindAllString(log, -1) {
		t.Errorf("the server logged %s", line)
	}
	if !strings.Contains(log, `"status":200`) {
		t.Errorf("the log has no answers: %s", log)
	}
}

// startAnvil runs anvil until the test ends, and returns its URL.
func startAnvil(t *testing.T) string {
	t.Helper()
	command := exec.Command(anvil, "--port", "0", "--chain-id", fmt.Sprint(evm.Chain), "--hardfork", "prague")
	url := "http://" + waitFor(t, command, regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`))
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"anvil_setBalance","params":[%q,"0xfffffffffffffffffff"]}`,
		evm.AddressOf(evm.Rich))
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("giving ether: %v, %+v", err, response)
	}
	response.Body.Close()
	return url
}

// waitFor starts a program until the test ends, and waits until it prints a
// line. It returns the last group of its match.
func waitFor(t *testing.T, command *exec.Cmd, line *regexp.Regexp) string {
	t.Helper()
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-drained
		_ = command.Wait()
	})
	found := make(chan string, 1)
	go func() {
		defer close(drained)
		defer close(found)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if match := line.FindStringSubmatch(lines.Text()); match != nil && len(found) == 0 {
				found <- match[len(match)-1]
			}
		}
	}()
	text, ok := <-found
	if !ok {
		t.Fatalf("%s ended without the line %q", command.Path, line)
	}
	return text
}
