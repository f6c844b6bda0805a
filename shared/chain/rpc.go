package chain

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"latchkey/shared/strictjson"
)

// maxAnswer is the maximum length of an answer, in bytes.
const maxAnswer = 64 << 10

// urlTimeout is how long one URL is asked for one question, eth_chainId
// included.
var urlTimeout = 2 * time.Second

// recheck is how long a URL that serves another chain is not asked again.
const recheck = time.Minute

// newClient returns a client that follows no redirect: the target would be
// chosen by whoever answers. It uses no proxy of the environment, because what
// is asked is configured in one place. It does not decompress, so an answer is
// as long as what is read.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: urlTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    urlTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fault says that a URL did not answer. Its text contains no URL, and nothing
// that the RPC wrote.
type fault struct {
	text string
	// provoked says that a question can cause this, so that it does not show
	// that the chain cannot be asked.
	provoked bool
}

// Error returns the text.
func (f fault) Error() string { return f.text }

// errNoAnswer is the fault of what is not an answer to a request.
var errNoAnswer = fault{text: "the answer is not valid JSON-RPC"}

// errTooLong is the fault of an answer over maxAnswer. A contract can return
// that much.
var errTooLong = fault{text: "the answer is longer than 64 KiB", provoked: true}

// endpoint is one URL of a chain.
type endpoint struct {
	client       *http.Client
	url          string
	chain        uint64
	position, of int
	log          *slog.Logger
	now          func() time.Time
	wrongChain   func(chain uint64)

	// checked is set once the URL has named the configured chain.
	checked atomic.Bool
	// checking is held by whoever asks for the chain id, and guards wrongUntil:
	// until then the URL is not asked, because it named another chain.
	checking   chan struct{}
	wrongUntil time.Time
}

// ask puts a question. It returns nil, an error that wraps [ErrRefused], or a
// fault, which it identifies by the position of the URL.
func (e *endpoint) ask(ctx context.Context, c call, gas uint64) error {
	ctx, cancel := context.WithTimeout(ctx, urlTimeout)
	defer cancel()
	err := e.checkChain(ctx)
	if err == nil {
		err = e.call(ctx, c, gas)
	}
	var f fault
	if errors.As(err, &f) {
		f.text = fmt.Sprintf("URL %d of %d: %s", e.position, e.of, f.text)
		return f
	}
	return err
}

// call makes an eth_call without a sender, on the latest block.
func (e *endpoint) call(ctx context.Context, c call, gas uint64) error {
	arguments := map[string]any{"data": hexutil.Bytes(c.data), "gas": hexutil.Uint64(gas)}
	if c.to != nil {
		arguments["to"] = c.to
	}
	result, err := e.request(ctx, "eth_call", arguments, "latest")
	if c.alone != nil && errors.Is(err, errTooLong) {
		return e.call(ctx, *c.alone, gas)
	}
	if err != nil {
		return err
	}
	answer, err := hexutil.Decode(result)
	if err != nil {
		return errNoAnswer
	}
	return c.read(answer)
}

// checkChain returns nil if the URL has named the configured chain. It asks for
// the chain id until it has once. A URL of another chain would answer about
// another account with the same address.
func (e *endpoint) checkChain(ctx context.Context) error {
	if e.checked.Load() {
		return nil
	}
	select {
	case e.checking <- struct{}{}:
		defer func() { <-e.checking }()
	case <-ctx.Done():
		return describe(ctx.Err())
	}
	switch {
	case e.checked.Load():
		return nil
	case e.now().Before(e.wrongUntil):
		return fault{text: "serves another chain"}
	}
	id, err := e.fetchChainID(ctx)
	if err != nil {
		return err
	}
	if id != e.chain {
		e.reportWrongChain(ctx, id)
		return fault{text: "serves another chain"}
	}
	e.checked.Store(true)
	return nil
}

// fetchChainID asks which chain the URL serves. Its error is a fault.
func (e *endpoint) fetchChainID(ctx context.Context) (uint64, error) {
	result, err := e.request(ctx, "eth_chainId")
	var f fault
	if errors.As(err, &f) {
		f.provoked = false // no contract was called
		return 0, f
	}
	if err != nil {
		return 0, errNoAnswer // an execution error, but nothing was executed
	}
	id, err := hexutil.DecodeUint64(result)
	if err != nil {
		return 0, errNoAnswer
	}
	return id, nil
}

// reportWrongChain logs and counts that the URL serves another chain. It is not
// asked again for a minute, so that happens once a minute.
func (e *endpoint) reportWrongChain(ctx context.Context, id uint64) {
	e.wrongUntil = e.now().Add(recheck)
	e.log.ErrorContext(ctx, "RPC serves another chain",
		"chain", e.chain, "url", fmt.Sprintf("%d of %d", e.position, e.of), "serves", id)
	if e.wrongChain != nil {
		e.wrongChain(e.chain)
	}
}

// request makes a JSON-RPC call whose result is a string. Its error wraps
// [ErrRefused] if an execution failed, or is a fault.
func (e *endpoint) request(ctx context.Context, method string, params ...any) (string, error) {
	id := strconv.FormatUint(1+rand.Uint64N(1<<53-1), 10) // exact in every JSON reader
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": json.Number(id), "method": method, "params": params,
	})
	if err != nil {
		return "", errNoAnswer
	}
	status, answer, err := e.post(ctx, body)
	if err != nil {
		return "", err
	}
	result, err := readAnswer(answer, id)
	switch {
	case status == http.StatusOK:
		return result, err
	case status/100 != 3 && errors.Is(err, ErrRefused):
		return "", err // some send execution errors with another status
	}
	var f fault
	errors.As(err, &f)
	return "", fault{text: "status " + strconv.Itoa(status), provoked: f.provoked}
}

// post sends a request and returns the status and the body of the answer.
func (e *endpoint) post(ctx context.Context, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fault{text: "the URL is not valid"}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	// A call changes nothing, so it may be sent again if an idle connection was
	// closed, as after a function was frozen. An empty list is not sent.
	request.Header["Idempotency-Key"] = nil
	response, err := e.client.Do(request)
	if err != nil {
		return 0, nil, describe(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, describe(err)
	case len(answer) > maxAnswer:
		return 0, nil, errTooLong
	}
	return response.StatusCode, answer, nil
}

// describe returns the fault of a transport error. It repeats nothing of the
// error, because net/http puts the URL, and net the host, into theirs.
func describe(err error) fault {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault{text: "no answer in time"}
	case errors.Is(err, context.Canceled):
		return fault{text: "the call was canceled"}
	case errors.As(err, &certificate):
		return fault{text: "its certificate is not accepted"}
	case errors.As(err, &dns):
		return fault{text: "its host is not found"}
	}
	return fault{text: "the connection failed"}
}

// readAnswer reads the answer to a request with an id. It returns its result,
// which must be a string, or an error that wraps [ErrRefused] if an execution
// failed, or a fault.
func readAnswer(body []byte, id string) (string, error) {
	value, err := strictjson.Parse(body)
	answer, isObject := value.(map[string]any)
	if err != nil || !isObject || answer["jsonrpc"] != "2.0" || answer["id"] != json.Number(id) {
		return "", errNoAnswer
	}
	result, problem := answer["result"], answer["error"]
	if problem == nil {
		text, ok := result.(string)
		if !ok {
			return "", errNoAnswer
		}
		return text, nil
	}
	if result != nil {
		return "", errNoAnswer
	}
	return "", readError(problem)
}

// readError reads the error of an answer.
func readError(problem any) error {
	members, _ := problem.(map[string]any)
	number, _ := members["code"].(json.Number)
	message, _ := members["message"].(string)
	code, err := strconv.ParseInt(number.String(), 10, 64)
	switch {
	case err != nil:
		return errNoAnswer
	case isFailure(code, message):
		return refuse("its execution failed")
	}
	// The text may be a failure of the contract that is not in the table, or say
	// that the node does not run creation code, which a wrapped signature needs.
	provoked := mayBeFailure(code) || code == codeInvalidParams
	return fault{text: fmt.Sprintf("error %d", code), provoked: provoked}
}
