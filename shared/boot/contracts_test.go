package boot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/verifierclient"
)

const (
	rpcARN      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/rpc-AbCdEf"
	verifierARN = "arn:aws:lambda:eu-central-1:123456789012:function:latchkey-VerifySignatureFunction-AbC"
)

// rpc is a node of a chain on which every contract accepts every signature, while it answers.
type rpc struct {
	url     string
	chain   string // its eth_chainId
	calls   atomic.Int64
	trouble atomic.Pointer[func(w http.ResponseWriter, r *http.Request, id string)] // answers calls, unless it is nil
}

func newRPC(t *testing.T, chain string) *rpc {
	t.Helper()
	n := &rpc{chain: chain}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		result := n.chain
		if asked.Method == "eth_call" {
			n.calls.Add(1)
			if trouble := n.trouble.Load(); trouble != nil {
				(*trouble)(w, r, string(asked.ID))
				return
			}
			result = "0x1626ba7e" + strings.Repeat("00", 28)
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%q}`, asked.ID, result)
	}))
	t.Cleanup(server.Close)
	n.url = server.URL
	return n
}

// urls is the text of ETHEREUM_RPC for the node.
func (n *rpc) urls() string { return fmt.Sprintf(`{"1":[%q]}`, n.url+"/k3y") }

// environmentOf is an environment with these variables, those of a role, and these endpoints of Secrets Manager and Lambda.
func environmentOf(variables map[string]string, vault, lambda string, log io.Writer) awsenv.Environment {
	role := awstest.Role(vault)
	return awsenv.Environment{Now: time.Now, Log: slog.New(slog.NewJSONHandler(log, nil)), Getenv: func(name string) string {
		switch value, set := variables[name]; {
		case set:
			return value
		case name == "AWS_ENDPOINT_URL_LAMBDA":
			return lambda
		}
		return role(name)
	}}
}

// invoker is a fake of Lambda that runs one function, if all of these let it.
func invoker(t *testing.T, f lambda.Handler, lets ...func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		payload, _ := io.ReadAll(r.Body)
		for _, let := range lets {
			if !let(w, r) {
				return
			}
		}
		out, err := f.Invoke(r.Context(), payload)
		if err != nil {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		}
		_, _ = w.Write(out)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A contract wallet signs in through functions that are configured in each way: with URLs, with a secret of them, and with
// another function, which has the URLs or the secret. Without any it is refused, and no chain is asked.
func TestService_contractWallets(t *testing.T) {
	n := newRPC(t, "0x1")
	vault := awstest.NewSecretsManager(t, n.urls()).URL
	urls, secret := map[string]string{"APP_ENV": "local", "ETHEREUM_RPC": n.urls()}, map[string]string{"APP_ENV": "local", "ETHEREUM_RPC_SECRET_ARN": rpcARN}
	for name, c := range map[string]struct{ service, verifier map[string]string }{
		"off": {map[string]string{"APP_ENV": "local"}, nil}, "URLs": {urls, nil}, "a secret": {secret, nil},
		"a verifier with URLs":     {map[string]string{"APP_ENV": "local", "SIGNATURE_VERIFIER_ARN": verifierARN}, urls},
		"a verifier with a secret": {map[string]string{"APP_ENV": "local", "SIGNATURE_VERIFIER_ARN": verifierARN}, secret},
	} {
		t.Run(name, func(t *testing.T) {
			var log lambdatest.Output
			endpoint := ""
			if c.verifier != nil {
				f, err := boot.NewVerifier(environmentOf(c.verifier, vault, "", &log), &log)
				if err != nil {
					t.Fatal(err)
				}
				endpoint = invoker(t, f)
			}
			cfg := mustLoad(t, c.service)
			cfg.Redis.Addr = redistest.Embedded(t).Addr
			service, err := boot.NewService(context.Background(), cfg, environmentOf(c.service, vault, endpoint, &log), verifierclient.New)
			if err != nil {
				t.Fatal(err)
			}
			defer service.Close()
			before := n.calls.Load()
			r, want := loginOfContract(t, service), http.StatusOK
			if name == "off" {
				want = http.StatusUnauthorized
			}
			if r.StatusCode != want || (n.calls.Load() == before+1) != (want == http.StatusOK) {
				t.Errorf("answered %d %s after %d calls", r.StatusCode, r.Body, n.calls.Load()-before)
			}
			if strings.Contains(log.String(), "k3y") {
				t.Errorf("the log has a URL: %s", &log)
			}
		})
	}
}

// invokeAt invokes a function of a service.
func invokeAt(t *testing.T, service *boot.Service, h http.Handler, event []byte) lambdatest.Response {
	t.Helper()
	payload, err := service.WithKeyRefresh(newHandler(h, "localhost:3000")).Invoke(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	return lambdatest.DecodeResponse(t, payload)
}

// loginOfContract signs in with the message of eventOfContract.
func loginOfContract(t *testing.T, service *boot.Service) lambdatest.Response {
	t.Helper()
	return invokeAt(t, service, service.API.Login(), eventOfContract(t, service))
}

// eventOfContract is a login with a message of an address that another key signed.
func eventOfContract(t *testing.T, service *boot.Service) []byte {
	t.Helper()
	nonce := lambdatest.NewEvent("GET", "/auth/nonce")
	nonce.RawQueryString = "transport=bearer&chainId=1&address=" + somebody
	var got struct{ Message string }
	if err := json.Unmarshal([]byte(invokeAt(t, service, service.API.Nonce(), nonce.JSON(t)).Body), &got); err != nil {
		t.Fatal(err)
	}
	owner, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(map[string]string{"message": got.Message, "signature": sign(t, owner, got.Message), "transport": "bearer"})
	login := lambdatest.NewEvent("POST", "/auth/login")
	login.Body, login.Headers["content-type"] = string(body), "application/json"
	return login.JSON(t)
}

// A function that never asks about contract wallets has no client of the verifier. It starts with the verifier's ARN all the
// same, and asks nobody.
func TestService_withoutClient(t *testing.T) {
	cfg := mustLoad(t, map[string]string{"APP_ENV": "local", "SIGNATURE_VERIFIER_ARN": verifierARN})
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	service, err := boot.NewService(context.Background(), cfg, environmentOf(nil, "", "", io.Discard), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if r := loginOfContract(t, service); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %d %s", r.StatusCode, r.Body)
	}
}

// A URL of another chain is not used: the login is unavailable, and a metric counts it where the URLs are.
func TestService_wrongChain(t *testing.T) {
	n := newRPC(t, "0x2")
	variables := map[string]string{"APP_ENV": "local", "ETHEREUM_RPC": n.urls(), "AWS_LAMBDA_FUNCTION_NAME": "f"}
	var log lambdatest.Output
	cfg, counted := mustLoad(t, variables), 0.0
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	cfg.API.Metric = func(m api.Metric, value float64) {
		if m == api.WrongChains {
			counted += value
		}
	}
	service, err := boot.NewService(context.Background(), cfg, environmentOf(variables, "", "", &log), verifierclient.New)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if r := loginOfContract(t, service); r.StatusCode != http.StatusServiceUnavailable || counted != 1 || n.calls.Load() != 0 {
		t.Errorf("answered %d %s, counted %v, %d calls", r.StatusCode, r.Body, counted, n.calls.Load())
	}
	f, err := boot.NewVerifier(environmentOf(variables, "", "", &log), &log)
	if err != nil {
		t.Fatal(err)
	}
	event := `{"chain":1,"account":"` + somebody + `","digest":"0x` + strings.Repeat("00", 32) + `","signature":"0x"}`
	if out, err := f.Invoke(context.Background(), []byte(event)); err != nil || !strings.Contains(string(out), `"result":"trouble"`) {
		t.Errorf("answered %s, %v", out, err)
	}
	if !strings.Contains(log.String(), `"WrongChains":1`) || !strings.Contains(log.String(), `"Faults":1`) || strings.Contains(log.String(), "k3y") {
		t.Errorf("logged %s", &log)
	}
}

// What is wrong with the chains stops the start, with the variable's name and without a URL.
func TestService_contractsThatAreWrong(t *testing.T) {
	vault := awstest.NewSecretsManager(t, `{"1":["http://a.example/k3y","ws://b.example/k3y"]}`)
	_, err := boot.NewVerifier(environmentOf(map[string]string{"ETHEREUM_RPC_SECRET_ARN": rpcARN}, vault.URL, "", io.Discard), io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "ETHEREUM_RPC_SECRET_ARN: ") || strings.Contains(err.Error(), "k3y") || strings.Contains(err.Error(), "\n") ||
		!strings.Contains(err.Error(), "URL 2 of 2") {
		t.Errorf("a secret: %v", err)
	}
	_, err = boot.NewVerifier(environmentOf(nil, vault.URL, "", io.Discard), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "ETHEREUM_RPC_SECRET_ARN: is needed") {
		t.Errorf("nothing: %v", err)
	}
	cfg := mustLoad(t, deployed("ETHEREUM_RPC_SECRET_ARN", rpcARN))
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	if _, err := boot.NewService(context.Background(), cfg, environmentOf(nil, vault.URL, "", io.Discard), verifierclient.New); err == nil {
		t.Error("a service started with such a secret")
	}
}

// A hundred questions at once, in one process: each gets its own answer, with its own digest. The chain accepts every other
// digest.
func TestVerifier_concurrent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			ID     json.RawMessage
			Method string
			Params []any
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
			return
		}
		result := "0x1"
		if asked.Method == "eth_call" {
			digest := asked.Params[0].(map[string]any)["data"].(string)[10:74]
			if result = "0x1626ba7e" + strings.Repeat("00", 28); digest[63]%2 == 1 {
				result = "0x"
			}
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%q}`, asked.ID, result)
	}))
	defer server.Close()
	var log lambdatest.Output
	variables := map[string]string{"APP_ENV": "local", "ETHEREUM_RPC": fmt.Sprintf(`{"1":[%q]}`, server.URL)}
	f, err := boot.NewVerifier(environmentOf(variables, "", "", &log), &log)
	if err != nil {
		t.Fatal(err)
	}
	digestOf := func(i int) string { return fmt.Sprintf("0x%063x%d", 0xfeed+i, i%2) }
	answers := atOnce(t, 100, func(i int) ([]byte, error) {
		event := fmt.Sprintf(`{"chain":1,"account":%q,"digest":%q,"signature":"0x"}`, somebody, digestOf(i))
		return f.Invoke(context.Background(), []byte(event))
	})
	for i, payload := range answers {
		var got struct{ Digest, Result string }
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatal(err)
		}
		if want := []string{"accepted", "refused"}[i%2]; got.Result != want || got.Digest != digestOf(i) {
			t.Errorf("question %d is answered %s, want %s", i, payload, want)
		}
	}
}
