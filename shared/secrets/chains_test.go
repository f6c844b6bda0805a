package secrets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/shared/chain"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/secrets"
)

const rpcARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/rpc-AbCdEf"

// refusing starts a node on which no contract accepts anything, and counts what it is asked, also for its chain.
func refusing(t *testing.T) (urls string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var asked struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%q}`, asked.ID, map[string]string{"eth_chainId": "0x1", "eth_call": "0x"}[asked.Method])
	}))
	t.Cleanup(server.Close)
	return fmt.Sprintf(`{"1":[%q]}`, server.URL+"/k3y"), calls
}

// New URLs are used ten minutes later at the latest. The same ones, and a secret that cannot be used, leave what is known in place.
func TestChains_rotation(t *testing.T) {
	first, firstCalls := refusing(t)
	second, secondCalls := refusing(t)
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, first)
	var log lambdatest.Output
	cfg := config.Config{Local: true, Contracts: config.Contracts{RPCSecretARN: rpcARN, Quorum: 1}}
	chains, err := secrets.NewChains(context.Background(), cfg, s.Environment(c, &log), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := chains.WithRefresh(lambdahttp.Sweep(func(ctx context.Context) error {
		return chains.Verify(ctx, chain.Question{Chain: 1, Account: common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")})
	}))
	ask := func(what string, wantFirst, wantSecond int64) {
		t.Helper()
		if _, err := f.Invoke(context.Background(), nil); !errors.Is(err, chain.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
		if n, m := firstCalls.Swap(0), secondCalls.Swap(0); n != wantFirst || m != wantSecond {
			t.Errorf("%s: the nodes were called %d and %d times", what, n, m)
		}
	}
	ask("at first", 2, 0) // for its chain too
	c.Add(10 * time.Minute)
	ask("the same URLs", 1, 0)
	s.Set(second)
	ask("new URLs, too early", 1, 0)
	c.Add(10 * time.Minute)
	ask("new URLs", 0, 2)
	for _, text := range []string{"", first[1:], `{"1":["ftp://a.example/k3y"]}`} {
		s.Set(text)
		c.Add(10 * time.Minute)
		ask("a secret that is wrong", 0, 1)
	}
	if n := strings.Count(log.String(), `"msg":"secret not renewed","variable":"ETHEREUM_RPC_SECRET_ARN"`); n != 3 || strings.Contains(log.String(), "k3y") {
		t.Errorf("%d lines: %s", n, &log)
	}
}

func TestChains_start(t *testing.T) {
	for _, text := range []string{"", "https://a.example/k3y", `{"1":["http://a.example/k3y"]}`} {
		s := awstest.NewSecretsManager(t, text)
		cfg := config.Config{Contracts: config.Contracts{RPCSecretARN: rpcARN, Quorum: 1}}
		_, err := secrets.NewChains(context.Background(), cfg, s.Environment(awstest.NewClock(awstest.Start), io.Discard), nil)
		if err == nil || !strings.HasPrefix(err.Error(), "ETHEREUM_RPC_SECRET_ARN: reading the URLs: ") || strings.Contains(err.Error(), "k3y") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
