// Command sign is a wallet for experiments. It keeps a key in a plain file and
// signs everything that it is given, without asking. THROW-AWAY KEYS ONLY.
//
// With it you can try a login with only a shell and curl.
package main

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

const usage = `sign signs with THROW-AWAY keys, to try a login without a wallet. The key is in a
plain file and everything is signed without asking: never use a key that owns anything.

  sign new      [-key FILE]                    generate a key in FILE and print its address
  sign address  [-key FILE]                    print the address
  sign message  [-key FILE] < message          print the signature of these exact bytes (EIP-191)
  sign login    [-key FILE] [-transport NAME]  read the response of GET /auth/nonce and print the
                                               body for POST /auth/login
  sign step-up  [-key FILE]                    read the response of
                                               GET /auth/nonce?purpose=step_up and print the
                                               body for POST /auth/step-up

  -key FILE        the file of the key; default throw-away.key
  -transport NAME  bearer (default) or cookie; must be that of the nonce
`

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "sign:", err)
		os.Exit(1)
	}
}

// run executes one command. It writes to out what the next program in a pipe
// reads, and to errs what people read.
func run(args []string, in io.Reader, out, errs io.Writer) error {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		_, err := io.WriteString(errs, usage)
		return err
	}
	flags := flag.NewFlagSet("sign "+args[0], flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() { _, _ = io.WriteString(errs, usage) }
	file := flags.String("key", "throw-away.key", "")
	transport := flags.String("transport", "bearer", "")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see sign help", flags.Arg(0))
	}
	if !slices.Contains([]string{"new", "address", "message", "login", "step-up"}, args[0]) {
		return fmt.Errorf("unknown command %q; see sign help", args[0])
	}
	if *transport != "bearer" && *transport != "cookie" {
		return fmt.Errorf("-transport is %q; it must be bearer or cookie", *transport)
	}
	if args[0] == "new" {
		if err := makeKey(*file); err != nil {
			return err
		}
		fmt.Fprintf(errs,
			"made %s, a THROW-AWAY key in plain text: it must never own anything\n", *file)
	}
	key, err := loadKey(*file)
	if err != nil {
		return err
	}
	return execute(args[0], key, *transport, in, out)
}

func execute(
	command string, key *ecdsa.PrivateKey, transport string, in io.Reader, out io.Writer,
) error {
	switch command {
	case "new", "address":
		_, err := fmt.Fprintln(out, address(key))
		return err
	case "message":
		message, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("reading the message: %w", err)
		}
		_, err = fmt.Fprintln(out, sign(key, message))
		return err
	}
	body, err := signOffer(key, in)
	if err != nil {
		return err
	}
	if command == "login" { // a step-up uses the transport of its session
		body["transport"] = transport
	}
	return json.NewEncoder(out).Encode(body)
}

func address(key *ecdsa.PrivateKey) common.Address {
	return crypto.PubkeyToAddress(key.PublicKey)
}

// sign returns the 65-byte signature as wallets write it: v is 27 or 28.
func sign(key *ecdsa.PrivateKey, message []byte) string {
	digest := wallet.Digest(message)
	signature, err := crypto.Sign(digest[:], key)
	if err != nil {
		panic(err) // only if the digest is not 32 bytes
	}
	signature[64] += 27
	return "0x" + hex.EncodeToString(signature)
}

// makeKey generates a key in a new file that only its owner can read.
func makeKey(path string) error {
	key, err := crypto.GenerateKey()
	if err != nil {
		return fmt.Errorf("generating a key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: use it, or delete it first", path)
	}
	if err != nil {
		return fmt.Errorf("creating the key file: %w", err)
	}
	_, err = fmt.Fprintf(file, "%x\n", crypto.FromECDSA(key))
	return errors.Join(err, file.Close())
}

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: make a key with sign new", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(string(text)), "0x"))
	if err != nil {
		return nil, fmt.Errorf("%s is not a key of 64 hex digits: make one with sign new", path)
	}
	return key, nil
}

// offer is the response of GET /auth/nonce, or the error that it returned.
type offer struct {
	Nonce     string   `json:"nonce"`
	Domain    string   `json:"domain"`
	URI       string   `json:"uri"`
	Version   string   `json:"version"`
	Statement string   `json:"statement"`
	ChainIDs  []uint64 `json:"chainIds"`
	Message   string   `json:"message"` // only if the request has an address

	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// signOffer signs the message that an offer asks for.
func signOffer(key *ecdsa.PrivateKey, in io.Reader) (map[string]string, error) {
	var o offer
	err := json.NewDecoder(in).Decode(&o)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the response of /auth/nonce is empty: is the server running?")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the response of /auth/nonce: %w", err)
	}
	if o.Nonce == "" || len(o.ChainIDs) == 0 {
		return nil, fmt.Errorf("the response of /auth/nonce has no nonce: %s %s", o.Code, o.Detail)
	}
	message := o.Message
	if message == "" {
		message = o.compose(address(key), time.Now())
	}
	return map[string]string{"message": message, "signature": sign(key, []byte(message))}, nil
}

// compose returns the message that a page would give to a wallet.
func (o offer) compose(account common.Address, now time.Time) string {
	message := siwe.Message{
		Domain:   o.Domain,
		Address:  account,
		URI:      o.URI,
		Version:  o.Version,
		ChainID:  o.ChainIDs[0],
		Nonce:    o.Nonce,
		IssuedAt: siwe.NewTime(now),
	}
	if o.Statement != "" {
		message.Statement = &o.Statement
	}
	return message.String()
}
