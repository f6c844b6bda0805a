package boot_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/boot"
	"latchkey/shared/verifierclient"
)

// troubles are answers to an eth_call that say nothing about the signature. ID stands for the id of the call.
func troubles() map[string]func(w http.ResponseWriter, r *http.Request, id string) {
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, id string) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "ID", id))
		}
	}
	yes := `{"jsonrpc":"2.0","id":ID,"result":"0x1626ba7e` + strings.Repeat("00", 28) + `"}`
	failure := func(code int, message string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":ID,"error":{"code":%d,"message":%q}}`, code, message)
	}
	return map[string]func(http.ResponseWriter, *http.Request, string){
		"connection cut":  func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) },
		"hanging":         func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() },
		"redirect":        answer(307, yes),
		"status 500":      answer(500, yes),
		"status 429":      answer(429, failure(-32005, "limit exceeded")),
		"status 201":      answer(201, yes),
		"malformed JSON":  answer(200, yes[:40]),
		"null result":     answer(200, `{"jsonrpc":"2.0","id":ID,"result":null}`),
		"another id":      answer(200, strings.Replace(yes, "ID", "1", 1)),
		"over 64 KiB":     answer(200, yes+strings.Repeat(" ", 64<<10)),
		"unknown -32000":  answer(200, failure(-32000, "header not found")),
		"node's time-out": answer(200, failure(-32000, "execution aborted (timeout = 5s)")),
	}
}

// deadline is how long an invocation of these tests may take. A chain is asked for a second less.
const deadline = 3500 * time.Millisecond

// loginWithin invokes the login within the deadline.
func loginWithin(t *testing.T, service *boot.Service, event []byte) lambdatest.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	payload, err := service.WithKeyRefresh(newHandler(service.API.Login(), "localhost:3000")).Invoke(ctx, event)
	if err != nil || ctx.Err() != nil {
		t.Fatalf("answered %s, %v; %v", payload, err, ctx.Err())
	}
	return lambdatest.DecodeResponse(t, payload)
}

// contractService is a service on an embedded Redis.
func contractService(t *testing.T, variables map[string]string, endpoint string) *boot.Service {
	t.Helper()
	return contractServiceOn(t, redistest.Embedded(t).Addr, variables, endpoint)
}

func contractServiceOn(t *testing.T, redis string, variables map[string]string, endpoint string) *boot.Service {
	t.Helper()
	variables["APP_ENV"] = "local"
	cfg := mustLoad(t, variables)
	cfg.Redis.Addr = redis
	service, err := boot.NewService(context.Background(), cfg, environmentOf(variables, "", endpoint, io.Discard), verifierclient.New)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	return service
}

// wantsUnavailable fails unless a login is answered that its chain cannot be asked.
func wantsUnavailable(t *testing.T, r lambdatest.Response) {
	t.Helper()
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(r.Body, `"code":"unavailable"`) || r.Headers["Retry-After"] != "1" {
		t.Errorf("answered %d %v %s", r.StatusCode, r.Headers, r.Body)
	}
}

// wantsIn fails unless a login is answered with a session.
func wantsIn(t *testing.T, r lambdatest.Response) {
	t.Helper()
	if r.StatusCode != http.StatusOK || !strings.Contains(r.Body, `"wallet":"contract"`) {
		t.Errorf("answered %d %s", r.StatusCode, r.Body)
	}
}

// Every trouble of a chain is answered before the function's deadline, and costs no nonce: the same message signs in
// afterwards. If there is a second URL, it serves.
func TestService_troubleOfAChain(t *testing.T) {
	for name, trouble := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good := newRPC(t, "0x1"), newRPC(t, "0x1")
			bad.trouble.Store(&trouble)
			both := fmt.Sprintf(`{"1":[%q,%q]}`, bad.url, good.url)
			service := contractService(t, map[string]string{"ETHEREUM_RPC": both}, "")
			wantsIn(t, loginWithin(t, service, eventOfContract(t, service)))

			one := fmt.Sprintf(`{"1":[%q]}`, bad.url)
			service = contractService(t, map[string]string{"ETHEREUM_RPC": one}, "")
			event := eventOfContract(t, service)
			wantsUnavailable(t, loginWithin(t, service, event))
			bad.trouble.Store(nil)
			wantsIn(t, loginWithin(t, service, event))
			if r := loginWithin(t, service, event); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("once more it is answered %d %s", r.StatusCode, r.Body)
			}
		})
	}
}

// If Redis does not answer either when a chain has used up its time, the login is still answered before the deadline.
func TestService_troubleOfAChainAndOfRedis(t *testing.T) {
	n, proxy := newRPC(t, "0x1"), redistest.NewProxy(t, redistest.Embedded(t).Addr)
	hang := func(_ http.ResponseWriter, r *http.Request, _ string) {
		proxy.Decide(func([]byte) redistest.Fault { return redistest.Silence })
		<-r.Context().Done()
	}
	n.trouble.Store(&hang)
	urls := fmt.Sprintf(`{"1":[%q,%q]}`, n.url, n.url+"/second")
	service := contractServiceOn(t, proxy.Addr, map[string]string{"ETHEREUM_RPC": urls}, "")
	wantsUnavailable(t, loginWithin(t, service, eventOfContract(t, service)))
}

// What keeps the verifier from answering is trouble, too.
func TestService_troubleOfTheVerifier(t *testing.T) {
	n := newRPC(t, "0x1")
	f, err := boot.NewVerifier(environmentOf(map[string]string{"APP_ENV": "local", "ETHEREUM_RPC": n.urls()}, "", "", io.Discard), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(status int, kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{}`)
		}
	}
	for name, trouble := range map[string]http.HandlerFunc{
		"throttle":      refuse(http.StatusTooManyRequests, "TooManyRequestsException"),
		"no permission": refuse(http.StatusForbidden, "AccessDeniedException"),
		"no answer":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"failure": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, `{"errorMessage":"timed out"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var over atomic.Bool
			service := contractService(t, map[string]string{"SIGNATURE_VERIFIER_ARN": verifierARN}, invoker(t, f, func(w http.ResponseWriter, r *http.Request) bool {
				if !over.Load() {
					trouble(w, r)
				}
				return over.Load()
			}))
			event := eventOfContract(t, service)
			wantsUnavailable(t, loginWithin(t, service, event))
			over.Store(true)
			wantsIn(t, loginWithin(t, service, event))
		})
	}
}

// Of two URLs that must agree, one that lies signs nobody in.
func TestService_quorumWithALiar(t *testing.T) {
	liar, honest := newRPC(t, "0x1"), newRPC(t, "0x1")
	no := func(w http.ResponseWriter, _ *http.Request, id string) {
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":3,"message":"execution reverted"}}`, id)
	}
	honest.trouble.Store(&no)
	for _, urls := range [][2]*rpc{{liar, honest}, {honest, liar}} {
		service := contractService(t, map[string]string{
			"ETHEREUM_RPC": fmt.Sprintf(`{"1":[%q,%q]}`, urls[0].url, urls[1].url), "ETHEREUM_RPC_QUORUM": "2",
		}, "")
		r := loginWithin(t, service, eventOfContract(t, service))
		if r.StatusCode != http.StatusUnauthorized || !strings.Contains(r.Body, `"code":"login_failed"`) {
			t.Errorf("answered %d %s", r.StatusCode, r.Body)
		}
	}
	honest.trouble.Store(nil)
	service := contractService(t, map[string]string{
		"ETHEREUM_RPC": fmt.Sprintf(`{"1":[%q,%q]}`, liar.url, honest.url), "ETHEREUM_RPC_QUORUM": "2",
	}, "")
	wantsIn(t, loginWithin(t, service, eventOfContract(t, service)))
}
