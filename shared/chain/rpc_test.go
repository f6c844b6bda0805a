package chain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/chain"
)

// request is what an RPC was asked.
type request struct {
	ID     json.Number
	Method string
	Params []json.RawMessage
}

// response is what it answers. ID stands for the id of the request.
type response struct {
	status int
	body   string
}

func result(hex string) response {
	return response{200, `{"jsonrpc":"2.0","id":ID,"result":"` + hex + `"}`}
}

func failed(code int, message string) response {
	text, _ := json.Marshal(message)
	return response{200, fmt.Sprintf(`{"jsonrpc":"2.0","id":ID,"error":{"code":%d,"message":%s}}`, code, text)}
}

var accepted = result(hex(magic))

// newServer returns an RPC of the simulated chain that answers eth_call by a
// function.
func newServer(t *testing.T, answer func(*request) response) *httptest.Server {
	t.Helper()
	return newServerOf(t, func(r *request) response {
		if r.Method == "eth_chainId" {
			return result("0x539")
		}
		return answer(r)
	})
}

// newServerOf returns an RPC that answers everything by a function.
func newServerOf(t *testing.T, answer func(*request) response) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal(body, &asked); err != nil {
			t.Errorf("the request %s is not JSON: %v", body, err)
			return
		}
		got := answer(&asked)
		w.Header().Set("Content-Type", "application/json")
		if got.status/100 == 3 {
			w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
		}
		w.WriteHeader(got.status)
		io.WriteString(w, strings.ReplaceAll(got.body, "ID", asked.ID.String()))
	}))
	t.Cleanup(s.Close)
	return s
}

// always returns a function that gives one response.
func always(r response) func(*request) response { return func(*request) response { return r } }

// verifierOf returns a verifier that asks these servers.
func verifierOf(t *testing.T, quorum int, servers ...*httptest.Server) (*chain.Verifier, *clock, *syncBuffer) {
	t.Helper()
	cfg := chain.Config{RPC: map[uint64][]string{}, Quorum: quorum}
	for _, s := range servers {
		cfg.RPC[simulatedChain] = append(cfg.RPC[simulatedChain], s.URL+"/key-of-mine")
	}
	return newVerifier(t, cfg)
}

// The request as the node sees it.
func TestVerify_request(t *testing.T) {
	var seen []string
	s := newServerOf(t, func(r *request) response {
		params, _ := json.Marshal(r.Params)
		seen = append(seen, r.Method+string(params))
		if r.Method == "eth_chainId" {
			return result("0x539")
		}
		return accepted
	})
	v, _, _ := verifierOf(t, 1, s)
	for range 2 {
		if err := ask(t, v, common.Address{0: 0xaa}, []byte{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	call := `eth_call[{"data":"0x1626ba7e` + digest.Hex()[2:] + strings.Repeat("0", 62) + "40" +
		strings.Repeat("0", 63) + "3" + "010203" + strings.Repeat("0", 58) +
		`","gas":"0x4c4b40","to":"0xaa00000000000000000000000000000000000000"},"latest"]`
	if want := []string{"eth_chainId[]", call, call}; !slices.Equal(seen, want) {
		t.Errorf("the node was asked\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}

// troubles are responses that say nothing about the signature.
var troubles = map[string]response{
	"empty":                     {200, ""},
	"no JSON":                   {200, "<html>"},
	"cut JSON":                  {200, accepted.body[:40]},
	"text after it":             {200, accepted.body + "{}"},
	"list":                      {200, "[" + accepted.body + "]"},
	"null":                      {200, "null"},
	"no result":                 {200, `{"jsonrpc":"2.0","id":ID}`},
	"null result":               {200, `{"jsonrpc":"2.0","id":ID,"result":null}`},
	"number as result":          {200, `{"jsonrpc":"2.0","id":ID,"result":1}`},
	"no hexadecimal result":     result("0xzz"),
	"result without 0x":         result(hex(magic)[2:]),
	"empty text as result":      result(""),
	"odd number of digits":      result(hex(magic) + "0"),
	"another id":                {200, strings.Replace(accepted.body, "ID", "1", 1)},
	"id as text":                {200, strings.Replace(accepted.body, "ID", `"ID"`, 1)},
	"no id":                     {200, strings.Replace(accepted.body, `"id":ID,`, "", 1)},
	"null id":                   {200, strings.Replace(accepted.body, "ID", "null", 1)},
	"version 1.0":               {200, strings.Replace(accepted.body, "2.0", "1.0", 1)},
	"duplicate name":            {200, strings.Replace(accepted.body, `"result"`, `"result":"0x","result"`, 1)},
	"result and error":          {200, strings.Replace(accepted.body, `"result"`, `"error":{"code":3},"result"`, 1)},
	"longer than 64 KiB":        result(hex(magic) + strings.Repeat("0", 64<<10)),
	"spaces behind":             {200, accepted.body + strings.Repeat(" ", 64<<10)},
	"status 500":                {500, accepted.body},
	"status 429":                {429, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32005,"message":"limit exceeded"}}`},
	"status 503 without body":   {503, ""},
	"status 201":                {201, accepted.body},
	"redirect":                  {307, accepted.body},
	"redirect with a failure":   {302, failed(3, "execution reverted").body},
	"failure, another id":       {500, strings.Replace(failed(3, "execution reverted").body, "ID", "1", 1)},
	"unknown -32000":            failed(-32000, "header not found"),
	"time-out of the node":      failed(-32000, "execution aborted (timeout = 5s)"),
	"time-out of Nethermind":    failed(-32016, "eth_call request was canceled due to enabled timeout."),
	"limit exceeded":            failed(-32005, "out of gas"),
	"method not found":          failed(-32601, "the method eth_call does not exist"),
	"invalid parameters":        failed(-32602, "execution reverted"),
	"internal error":            failed(-32603, "Internal error"),
	"error without code":        {200, `{"jsonrpc":"2.0","id":ID,"error":{"message":"execution reverted"}}`},
	"error as text":             {200, `{"jsonrpc":"2.0","id":ID,"error":"execution reverted"}`},
	"error with a code as text": {200, `{"jsonrpc":"2.0","id":ID,"error":{"code":"3","message":"execution reverted"}}`},
}

// Trouble is neither a yes nor a no, and the next URL serves.
func TestVerify_troubles(t *testing.T) {
	for name, r := range troubles {
		t.Run(name, func(t *testing.T) {
			bad := newServer(t, always(r))
			v, _, _ := verifierOf(t, 1, bad)
			wantTrouble(t, ask(t, v, common.Address{1}, nil))
			yes, _, _ := verifierOf(t, 1, bad, newServer(t, always(accepted)))
			if err := ask(t, yes, common.Address{1}, nil); err != nil {
				t.Errorf("the second URL says yes, and Verify returns %v", err)
			}
			no, _, _ := verifierOf(t, 1, bad, newServer(t, always(result("0x"))))
			wantRefused(t, ask(t, no, common.Address{1}, nil))
		})
	}
}

// A definite no is not trouble, so the second URL is not asked.
func TestVerify_noes(t *testing.T) {
	for name, r := range map[string]response{
		"empty":                     result("0x"),
		"other word":                result("0x" + strings.Repeat("f", 64)),
		"magic alone":               result("0x1626ba7e"),
		"magic and more":            result(hex(magic) + "00"),
		"not only zeros behind":     result(hex(magic)[:65] + "1"),
		"reverted":                  failed(3, "execution reverted"),
		"reverted, error 500":       {500, failed(3, "execution reverted").body},
		"reverted, error 400":       {400, failed(-32000, "out of gas").body},
		"reverted, with a null":     {200, strings.Replace(failed(3, "x").body, `"error"`, `"result":null,"error"`, 1)},
		"reverted, with a member":   {200, strings.Replace(failed(3, "x").body, `"error"`, `"trace":[1],"error"`, 1)},
		"reverted, text of trouble": failed(3, "execution aborted (timeout = 5s)"),
	} {
		t.Run(name, func(t *testing.T) {
			var second atomic.Int32
			v, _, _ := verifierOf(t, 1, newServer(t, always(r)), newServerOf(t, func(*request) response {
				second.Add(1)
				return accepted
			}))
			wantRefused(t, ask(t, v, common.Address{1}, nil))
			if second.Load() > 0 {
				t.Error("the second URL was asked")
			}
		})
	}
}

// An answer to a wrapped signature that the creation code cannot have given
// does not come from it.
func TestVerify_creationNotRun(t *testing.T) {
	wrapped := chain.Wrap(common.Address{2}, nil, nil)
	for _, text := range []string{"0x", hex(magic), "0x02", "0x0100", "0x0001"} {
		v, _, _ := verifierOf(t, 1, newServer(t, always(result(text))))
		wantTrouble(t, ask(t, v, common.Address{1}, wrapped))
	}
	for text, want := range map[string]error{"0x01": nil, "0x00": chain.ErrRefused} {
		v, _, _ := verifierOf(t, 1, newServer(t, always(result(text))))
		if err := ask(t, v, common.Address{1}, wrapped); !errors.Is(err, want) {
			t.Errorf("%s: Verify returns %v, want %v", text, err, want)
		}
	}
}

func TestVerify_multicallAnswers(t *testing.T) {
	no, short := make([]byte, 32), magic[:31]
	for name, c := range map[string]struct {
		success []bool
		data    [][]byte
		want    error
	}{
		"first":                 {[]bool{true, false, true}, [][]byte{magic, nil, no}, nil},
		"last":                  {[]bool{false, true, true}, [][]byte{nil, {1}, magic}, nil},
		"last, factory failed":  {[]bool{false, false, true}, [][]byte{nil, {1}, magic}, chain.ErrRefused},
		"none":                  {[]bool{true, true, true}, [][]byte{no, magic, no}, chain.ErrRefused},
		"revert with the magic": {[]bool{false, true, false}, [][]byte{magic, nil, magic}, chain.ErrRefused},
		"too short":             {[]bool{true, true, true}, [][]byte{short, nil, short}, chain.ErrRefused},
		"too long":              {[]bool{true, true, true}, [][]byte{append(magic, 0), nil, nil}, chain.ErrRefused},
	} {
		if err := chain.ReadMulticall(chain.AnswerOfMulticall(c.success, c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	good := chain.AnswerOfMulticall([]bool{true, true, true}, [][]byte{magic, nil, magic})
	two := chain.AnswerOfMulticall([]bool{true, true}, [][]byte{magic, magic})
	for n := range len(good) {
		if err := chain.ReadMulticall(good[:n]); err == nil || errors.Is(err, chain.ErrRefused) {
			t.Errorf("the first %d bytes give %v, want a fault", n, err)
		}
	}
	if err := chain.ReadMulticall(two); err == nil || errors.Is(err, chain.ErrRefused) {
		t.Errorf("two results give %v, want a fault", err)
	}
}

// Nothing that is returned or logged has anything of a URL, or of what an RPC
// wrote.
func TestVerify_secrets(t *testing.T) {
	servers := map[string]*httptest.Server{
		"closed":  httptest.NewServer(nil),
		"tls":     httptest.NewTLSServer(nil),
		"leaking": newServer(t, always(failed(-32005, "project key-of-mine has no requests left"))),
		"wrong":   newServerOf(t, always(result("0x1"))),
	}
	servers["closed"].Close()
	t.Cleanup(servers["tls"].Close)
	addresses := []string{"http://host.invalid/key-of-mine"}
	for _, s := range servers {
		addresses = append(addresses, s.URL+"/key-of-mine?key-of-mine=1")
	}
	for name, r := range troubles {
		s := newServer(t, always(r))
		servers[name] = s
		addresses = append(addresses, strings.Replace(s.URL, "http://", "http://user:key-of-mine@", 1)+"/key-of-mine")
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		second := newServer(t, always(accepted))
		for _, urls := range [][]string{{address}, {address, second.URL}} {
			v, _, log := newVerifier(t, chain.Config{RPC: map[uint64][]string{simulatedChain: urls}})
			text := fmt.Sprintf("%v %+v %s", ask(t, v, common.Address{1}, nil), ask(t, v, common.Address{1}, nil), log)
			for _, secret := range []string{"key-of-mine", u.Host, u.Hostname(), u.Port(), "http:", "https:"} {
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("%q appears in %s", secret, text)
				}
			}
			if !strings.Contains(text, "URL 1 of") && !strings.Contains(text, `"1 of`) {
				t.Errorf("nothing says which URL it was: %s", text)
			}
		}
	}
}

func TestVerify_followsNoRedirect(t *testing.T) {
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	v, _, _ := verifierOf(t, 1, s)
	wantTrouble(t, ask(t, v, common.Address{1}, nil))
	if !slices.Equal(paths, []string{"/key-of-mine"}) {
		t.Errorf("the paths %q were asked", paths)
	}
}

// hanging returns a server that answers nothing until the test ends.
func hanging(t *testing.T) *httptest.Server {
	t.Helper()
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(done) })
	return s
}

// A URL that hangs costs its time and no more, and the next one serves.
func TestVerify_timeout(t *testing.T) {
	chain.SetURLTimeout(t, 50*time.Millisecond)
	v, _, _ := verifierOf(t, 1, hanging(t), newServer(t, always(accepted)))
	if err := ask(t, v, common.Address{1}, nil); err != nil {
		t.Error(err)
	}
	v, _, _ = verifierOf(t, 1, hanging(t))
	trouble := wantTrouble(t, ask(t, v, common.Address{1}, nil))
	if !strings.Contains(trouble.Error(), "URL 1 of 1: no answer in time") {
		t.Errorf("the reason is %v", trouble)
	}
}

// The deadline of the caller is kept.
func TestVerify_deadline(t *testing.T) {
	chain.SetURLTimeout(t, time.Hour)
	v, _, _ := verifierOf(t, 1, hanging(t), hanging(t))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantTrouble(t, v.Verify(ctx, chain.Question{Chain: simulatedChain, Account: common.Address{1}}))
}

// A URL that serves another chain is not asked, whatever it would say. That is
// logged once a minute, and over when it serves the right one.
func TestVerify_wrongChain(t *testing.T) {
	var calls, ids, reports atomic.Int32
	var id atomic.Value
	id.Store("0x1")
	s := newServerOf(t, func(r *request) response {
		if r.Method == "eth_chainId" {
			ids.Add(1)
			return result(id.Load().(string))
		}
		calls.Add(1)
		return accepted
	})
	v, c, log := newVerifier(t, chain.Config{
		RPC:        map[uint64][]string{simulatedChain: {s.URL}},
		WrongChain: func(chain uint64) { reports.Add(int32(chain / simulatedChain)) },
	})
	for minute := range int32(2) {
		for range 2 {
			wantTrouble(t, ask(t, v, common.Address{1}, nil))
			c.advance(20 * time.Second) // the breaker stays closed, the minute goes on
		}
		lines := int32(strings.Count(log.String(), "RPC serves another chain"))
		if calls.Load() > 0 || ids.Load() != minute+1 || reports.Load() != minute+1 || lines != minute+1 {
			t.Errorf("after %d minutes: %d calls, %d ids, %d reports, %d lines",
				minute, calls.Load(), ids.Load(), reports.Load(), lines)
		}
		c.advance(20 * time.Second)
	}
	id.Store("0x539")
	for range 2 {
		if err := ask(t, v, common.Address{1}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if ids.Load() != 3 || calls.Load() != 2 {
		t.Errorf("%d ids, %d calls", ids.Load(), calls.Load())
	}
}

// Until a URL has named its chain, nothing that it says counts.
func TestVerify_chainIDFails(t *testing.T) {
	for name, r := range map[string]response{
		"execution error": failed(3, "execution reverted"), "empty": result("0x"), "long": result("0x1" + strings.Repeat("0", 16)),
		"zero in front": result("0x0539"), "decimal": result("1337"), "trouble": failed(-32000, "no"), "503": {503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, _, _ := verifierOf(t, 1, newServerOf(t, func(asked *request) response {
				if asked.Method == "eth_chainId" {
					return r
				}
				return accepted
			}))
			for range 3 {
				wantTrouble(t, ask(t, v, common.Address{1}, nil))
			}
			if got := wantTrouble(t, ask(t, v, common.Address{1}, nil)).RetryAfter; got != 10*time.Second {
				t.Errorf("after three troubles in a row retry after %v", got)
			}
		})
	}
}

// The chain id is asked once, however many ask at once.
func TestVerify_chainIDOnce(t *testing.T) {
	var ids atomic.Int32
	s := newServerOf(t, func(r *request) response {
		if r.Method == "eth_chainId" {
			ids.Add(1)
			return result("0x539")
		}
		return accepted
	})
	v, _, _ := verifierOf(t, 1, s)
	errs := make(chan error)
	for range 20 {
		go func() { errs <- ask(t, v, common.Address{1}, nil) }()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if ids.Load() != 1 {
		t.Errorf("the chain id was asked %d times", ids.Load())
	}
}

func TestVerify_breaker(t *testing.T) {
	var calls atomic.Int32
	var answer atomic.Value
	answer.Store(response{503, ""})
	s := newServer(t, func(*request) response { calls.Add(1); return answer.Load().(response) })
	v, c, _ := verifierOf(t, 1, s)
	expect := func(r response, wantCalls int32, check func(error)) {
		t.Helper()
		answer.Store(r)
		calls.Store(0)
		check(ask(t, v, common.Address{1}, nil))
		if calls.Load() != wantCalls {
			t.Errorf("%d calls, want %d", calls.Load(), wantCalls)
		}
	}
	trouble := func(wait time.Duration) func(error) {
		return func(err error) {
			t.Helper()
			if got := wantTrouble(t, err).RetryAfter; got != wait {
				t.Errorf("retry after %v, want %v", got, wait)
			}
		}
	}
	refused := func(err error) { t.Helper(); wantRefused(t, err) }
	bad := response{503, ""}
	expect(bad, 1, trouble(time.Second))
	expect(bad, 1, trouble(time.Second))
	expect(result("0x"), 1, refused) // ends the row
	expect(bad, 1, trouble(time.Second))
	expect(bad, 1, trouble(time.Second))
	expect(bad, 1, trouble(10*time.Second))
	expect(accepted, 0, trouble(10*time.Second))
	c.advance(9999 * time.Millisecond)
	expect(accepted, 0, trouble(time.Millisecond))
	c.advance(time.Millisecond)
	expect(bad, 1, trouble(10*time.Second)) // one is enough after a pause
	c.advance(10 * time.Second)
	expect(accepted, 1, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	expect(bad, 1, trouble(time.Second))
}

// A caller that goes away says nothing about the chain.
func TestVerify_canceled(t *testing.T) {
	v, _, _ := verifierOf(t, 1, newServer(t, always(accepted)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		wantTrouble(t, v.Verify(ctx, chain.Question{Chain: simulatedChain, Account: common.Address{1}}))
	}
	if err := ask(t, v, common.Address{1}, nil); err != nil {
		t.Error(err)
	}
}

// y accepts, n refuses, t is trouble; each URL is one letter.
func TestVerify_quorum(t *testing.T) {
	kinds := map[rune]response{'y': accepted, 'n': result("0x"), 't': {503, ""}}
	for _, c := range []struct {
		urls   string
		quorum int
		want   error
	}{
		{"y", 0, nil}, {"n", 1, chain.ErrRefused}, {"t", 1, chain.ErrTrouble},
		{"ty", 1, nil}, {"tn", 1, chain.ErrRefused}, {"tt", 1, chain.ErrTrouble}, {"ny", 1, chain.ErrRefused},
		{"yy", 2, nil}, {"nn", 2, chain.ErrRefused}, {"yn", 2, chain.ErrRefused}, {"ny", 2, chain.ErrRefused},
		{"yt", 2, chain.ErrTrouble}, {"tn", 2, chain.ErrTrouble},
		{"yny", 2, nil}, {"ynn", 2, chain.ErrRefused}, {"ynt", 2, chain.ErrTrouble},
		{"yty", 2, nil}, {"tny", 2, chain.ErrTrouble}, {"tnn", 2, chain.ErrRefused}, {"tyy", 2, nil},
		{"yyn", 3, chain.ErrRefused}, {"yyy", 3, nil}, {"yyt", 3, chain.ErrTrouble},
	} {
		t.Run(fmt.Sprintf("%s/%d", c.urls, c.quorum), func(t *testing.T) {
			var servers []*httptest.Server
			for _, kind := range c.urls {
				servers = append(servers, newServer(t, always(kinds[kind])))
			}
			v, _, _ := verifierOf(t, c.quorum, servers...)
			if err := ask(t, v, common.Address{1}, nil); !errors.Is(err, c.want) {
				t.Errorf("Verify returns %v, want %v", err, c.want)
			}
			// A definite no needs as many noes as a yes needs yeses.
			noes := strings.Count(c.urls, "n") >= max(1, c.quorum)
			if err := ask(t, v, common.Address{1}, nil); errors.Is(err, chain.ErrRefused) && noes == errors.Is(err, chain.ErrDisagree) {
				t.Errorf("Verify returns %v for %d noes", err, strings.Count(c.urls, "n"))
			}
		})
	}
}

// As many URLs are asked at once as must agree, and no more while they do.
func TestVerify_asksAtOnce(t *testing.T) {
	var third atomic.Int32
	both := make(chan struct{}, 2)
	meet := func(*request) response {
		both <- struct{}{}
		for len(both) < 2 {
			time.Sleep(time.Millisecond)
		}
		return accepted
	}
	v, _, _ := verifierOf(t, 2, newServer(t, meet), newServer(t, meet), newServerOf(t, func(*request) response {
		third.Add(1)
		return accepted
	}))
	if err := ask(t, v, common.Address{1}, nil); err != nil || third.Load() > 0 {
		t.Errorf("%v, and the third was asked %d times", err, third.Load())
	}
}

func TestConfig_Check(t *testing.T) {
	for _, c := range []struct {
		cfg  chain.Config
		want []string
	}{
		{chain.Config{}, nil},
		{chain.Config{RPC: map[uint64][]string{1: {"https://a.example/k", "https://b.example/k"}}, Quorum: 2}, nil},
		{chain.Config{RPC: map[uint64][]string{1: {"http://a.example/k"}}, AllowHTTP: true}, nil},
		{chain.Config{RPC: map[uint64][]string{1: {"http://a.example/key"}}}, []string{"chain 1, URL 1 of 1 is not valid"}},
		{chain.Config{RPC: map[uint64][]string{1: {}}}, []string{"chain 1 has 0 URLs"}},
		{
			chain.Config{RPC: map[uint64][]string{1: {"https://a.example/key"}, 2: {"ftp://key", "://key", "https:///key", "key"}}, Quorum: 2, AllowHTTP: true},
			[]string{
				"chain 1 has 1 URLs: a quorum of 2", "chain 2, URL 1 of 4 is", "chain 2, URL 2 of 4 is",
				"chain 2, URL 3 of 4 is", "chain 2, URL 4 of 4 is",
			},
		},
		{chain.Config{RPC: map[uint64][]string{1: {"https://a.example/key", "https://a.example/key"}}, Quorum: 2}, []string{"chain 1, URL 2 of 2 occurs twice"}},
		{chain.Config{Quorum: -1}, []string{"quorum -1"}},
		{chain.Config{Multicall: map[uint64]common.Address{5: {1}}}, []string{"chain 5 has a Multicall3 address"}},
	} {
		err := c.cfg.Check()
		if (err == nil) != (c.want == nil) {
			t.Errorf("Check returns %v, want %q", err, c.want)
			continue
		}
		_, again := chain.New(c.cfg, nil, time.Now)
		if (again == nil) != (err == nil) {
			t.Errorf("New returns %v, and Check %v", again, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v has not %q", err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "key") {
			t.Errorf("%v contains a URL", err)
		}
	}
}

func TestAccepts(t *testing.T) {
	if !chain.Accepts(magic) || chain.Accepts(nil) {
		t.Fatal("the magic value is not accepted, or nothing is")
	}
	for i := range magic {
		changed := bytes.Clone(magic)
		changed[i] ^= 1
		if chain.Accepts(changed) {
			t.Errorf("%x is accepted", changed)
		}
	}
	for n := range 100 {
		if n != 32 && chain.Accepts(append(bytes.Clone(magic), make([]byte, 100)...)[:n]) {
			t.Errorf("%d bytes are accepted", n)
		}
	}
}

// Addresses below 0x10000 and signatures that are too long are not asked about.
func TestVerify_reserved(t *testing.T) {
	var calls atomic.Int32
	v, _, _ := verifierOf(t, 1, newServer(t, func(*request) response { calls.Add(1); return accepted }))
	for _, a := range []common.Address{{17: 1}, {0: 1}} {
		if err := ask(t, v, a, make([]byte, 8192)); err != nil {
			t.Error(err)
		}
	}
	for _, a := range []common.Address{{}, {19: 4}, {18: 1}, {18: 0xff, 19: 0xff}} {
		wantRefused(t, ask(t, v, a, nil))
		wantRefused(t, ask(t, v, a, chain.Wrap(common.Address{1}, nil, nil)))
	}
	wantRefused(t, ask(t, v, common.Address{1}, make([]byte, 8193)))
	wantRefused(t, ask(t, v, common.Address{1}, chain.Wrap(common.Address{1}, nil, nil)[1:])) // malformed
	if calls.Load() != 2 {
		t.Errorf("%d calls, want 2", calls.Load())
	}
}

func TestVerify_noChain(t *testing.T) {
	v, _, _ := verifierOf(t, 1, newServer(t, always(accepted)))
	err := v.Verify(t.Context(), chain.Question{Chain: 1, Account: common.Address{1}})
	if !errors.Is(err, chain.ErrNoChain) || errors.Is(err, chain.ErrRefused) {
		t.Errorf("Verify returns %v, want ErrNoChain", err)
	}
}

// What any contract can provoke is no reason to stop asking: a long answer, or a failure with an unknown text.
func TestVerify_provoked(t *testing.T) {
	unknown := failed(-32000, "precompile of this chain failed")
	for name, provoked := range map[string]response{
		"long":                       troubles["longer than 64 KiB"],
		"unknown text":               unknown,
		"unknown text, status 500":   {500, unknown.body},
		"unknown text, rejected":     failed(-32003, "EVM error: SomethingNew"),
		"unknown text, older anvils": failed(-32603, "EVM error SomethingNew"),
	} {
		var answer atomic.Value
		answer.Store(provoked)
		v, _, _ := verifierOf(t, 1, newServer(t, func(*request) response { return answer.Load().(response) }))
		for range 5 {
			wantTrouble(t, ask(t, v, common.Address{1}, nil))
		}
		answer.Store(accepted)
		if err := ask(t, v, common.Address{1}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where nodes do not run creation code, or no Multicall3 is deployed, wrapped signatures do not stop the plain ones.
func TestVerify_provokedByWrapper(t *testing.T) {
	for name, to := range map[string]*common.Address{"creation": nil, "multicall": {1}} {
		for _, r := range []response{result("0x"), failed(-32602, "missing value for required argument: to")} {
			var answer atomic.Value
			answer.Store(r)
			s := newServer(t, func(*request) response { return answer.Load().(response) })
			cfg := chain.Config{RPC: map[uint64][]string{simulatedChain: {s.URL}}}
			if to != nil {
				cfg.Multicall = map[uint64]common.Address{simulatedChain: *to}
			}
			v, _, _ := newVerifier(t, cfg)
			for range 5 {
				wantTrouble(t, ask(t, v, common.Address{2}, chain.Wrap(common.Address{3}, nil, nil)))
			}
			answer.Store(accepted)
			if err := ask(t, v, common.Address{2}, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
