package config_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/chain"
	"latchkey/shared/config"
)

const (
	twoChains = `{"1":["https://a.example/k3y","https://b.example/k3y"],"10":["https://c.example/k3y","https://d.example/k3y"]}`
	multicall = `{"10":"0xcA11bde05977b3631167028862bE2a173976CA11"}`
)

var wantChains = chain.Config{
	RPC: map[uint64][]string{
		1: {"https://a.example/k3y", "https://b.example/k3y"}, 10: {"https://c.example/k3y", "https://d.example/k3y"},
	},
	Multicall: map[uint64]common.Address{10: common.HexToAddress("0xca11bde05977b3631167028862be2a173976ca11")},
	Gas:       200_000, Quorum: 2,
}

// The text means the same in the variable and in the secret. No way to show a configuration shows the key of a URL.
func TestLoad_contracts(t *testing.T) {
	others := []string{"ETHEREUM_MULTICALL", multicall, "ETHEREUM_CALL_GAS", "200000", "ETHEREUM_RPC_QUORUM", "2"}
	cfg := mustLoad(t, deployed(append(others, "ETHEREUM_RPC", twoChains)...))
	if got := cfg.Chains(); !reflect.DeepEqual(got, wantChains) {
		t.Errorf("got %+v", got)
	}
	encoded, err := json.Marshal(cfg.Contracts)
	if shown := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg) + string(encoded); err != nil || strings.Contains(shown, "k3y") {
		t.Errorf("a key shows in %s, %v", shown, err)
	}
	cfg = mustLoad(t, deployed(append(others, "ETHEREUM_RPC_SECRET_ARN", keysARN)...))
	if got, err := cfg.ParseRPC(twoChains); err != nil || !reflect.DeepEqual(got, wantChains) {
		t.Errorf("got %+v, %v", got, err)
	}
	if cfg := mustLoad(t, local("ETHEREUM_RPC", `{"1":["http://localhost:8545"]}`)); !cfg.Chains().AllowHTTP {
		t.Error("http is refused locally")
	}
}

// Every problem of a text is reported at once, each in a line of its own, and none repeats a URL.
func TestLoad_contractProblems(t *testing.T) {
	text := `{"1":["http://a.example/k3y","https://k3y@","ws://k3y.example"],"https://k3y.example":[],"2":"https://k3y.example",
		"3":["https://k3y.example","https://k3y.example"],"4":[]}`
	_, err := load(deployed("ETHEREUM_RPC", text))
	if err == nil {
		t.Fatal("loaded")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 7 || strings.Contains(err.Error(), "k3y") {
		t.Errorf("%d lines: %v", len(lines), err)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "ETHEREUM_RPC: ") {
			t.Errorf("the line %q", line)
		}
	}
	cfg := mustLoad(t, deployed("ETHEREUM_RPC_SECRET_ARN", keysARN, "ETHEREUM_RPC_QUORUM", "3", "ETHEREUM_MULTICALL", multicall))
	_, err = cfg.ParseRPC(`{"1":["https://a.example/k3y"]}`)
	if err == nil || strings.Count(err.Error(), "\n") != 1 || strings.Contains(err.Error(), "k3y") {
		t.Errorf("got %v", err)
	}
}

// The verifier needs no Redis and no keys. What it does not read cannot stop it.
func TestLoadVerifier(t *testing.T) {
	env := map[string]string{
		"ETHEREUM_RPC": twoChains, "ETHEREUM_MULTICALL": multicall, "ETHEREUM_CALL_GAS": "200000", "ETHEREUM_RPC_QUORUM": "2",
		"REDIS_PORT": "?", "SESSION_SECRET": "?", "SIGNATURE_VERIFIER_ARN": "?",
	}
	verifier := func() (config.Config, error) {
		return config.LoadVerifier(func(name string) string { return env[name] })
	}
	cfg, err := verifier()
	if err != nil || !reflect.DeepEqual(cfg.Chains(), wantChains) || cfg.SessionSecret != "" {
		t.Errorf("got %+v, %v", cfg, err)
	}
	env["ETHEREUM_RPC"] = ""
	env["ETHEREUM_RPC_QUORUM"], env["ETHEREUM_MULTICALL"] = "", ""
	if _, err := verifier(); err == nil || !strings.HasPrefix(err.Error(), "ETHEREUM_RPC_SECRET_ARN: is needed") {
		t.Errorf("without chains: %v", err)
	}
	env["ETHEREUM_RPC_SECRET_ARN"] = keysARN
	if cfg, err := verifier(); err != nil || cfg.Contracts.RPCSecretARN != keysARN {
		t.Errorf("with a secret: %v", err)
	}
	env["ETHEREUM_CALL_GAS"], env["ETHEREUM_RPC_QUORUM"] = "?", "?"
	if _, err := verifier(); err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 2 {
		t.Errorf("with two problems: %v", err)
	}
}
