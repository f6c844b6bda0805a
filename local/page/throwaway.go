package page

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/siwe"
	"latchkey/shared/strictjson"
	"latchkey/shared/wallet"
)

// throwAwayPath is where the page at / has its throw-away wallet sign.
const throwAwayPath = "/throw-away-wallet"

const (
	// maxOffers bounds the messages that are kept. A page signs within seconds.
	maxOffers = 1000
	// maxSignBody bounds a request. The longest message has 4 KiB.
	maxSignBody = 16 << 10
)

// ThrowAway is a wallet for one page of this server. Its key is generated at
// each start and exists in memory alone, so its account has no role but those
// that everybody has, unless the server is started with it as an admin.
//
// It asks nobody before it signs. So it signs only a message that this server
// has made for it, and only for a page of this server, which the message must
// name. Otherwise another page could have it sign in, or have it sign something
// else.
type ThrowAway struct {
	path    string // where it signs
	page    string // the path of its page
	key     *ecdsa.PrivateKey
	address common.Address
	now     func() time.Time

	mu     sync.Mutex
	offers []offer // the oldest first
}

// offer is a message of /auth/nonce for the throw-away wallet.
type offer struct {
	message string
	expires time.Time
}

// NewThrowAway generates a wallet. It signs at path, for the page at another.
func NewThrowAway(path, page string, now func() time.Time) (*ThrowAway, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generating the throw-away wallet: %w", err)
	}
	return &ThrowAway{
		path: path, page: page, key: key, address: crypto.PubkeyToAddress(key.PublicKey), now: now,
	}, nil
}

// Address returns the wallet's address.
func (t *ThrowAway) Address() common.Address { return t.address }

// Handler serves the wallet at its path, and everything else with next.
func (t *ThrowAway) Handler(next http.Handler) http.Handler {
	next = t.collectOffers(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == t.path && r.Method == http.MethodPost {
			t.answer(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// collectOffers serves everything with next, and keeps the messages that it
// makes for this wallet.
func (t *ThrowAway) collectOffers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/auth/nonce" {
			next.ServeHTTP(w, r)
			return
		}
		c := &copier{ResponseWriter: w}
		next.ServeHTTP(c, r)
		var answer struct{ Message string }
		if json.Unmarshal(c.body.Bytes(), &answer) == nil {
			t.addOffer(answer.Message)
		}
	})
}

// copier keeps a copy of the body that is written.
type copier struct {
	http.ResponseWriter
	body bytes.Buffer
}

// Write implements [http.ResponseWriter].
func (c *copier) Write(p []byte) (int, error) {
	c.body.Write(p)
	return c.ResponseWriter.Write(p)
}

// addOffer keeps a message if it is one for this wallet.
func (t *ThrowAway) addOffer(message string) {
	m, err := siwe.Parse([]byte(message))
	if err != nil || m.Address != t.address || m.ExpirationTime == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.offers) == maxOffers {
		t.offers = t.offers[1:]
	}
	t.offers = append(t.offers, offer{message, m.ExpirationTime.Instant()})
}

// hasOffer reports whether this server made the message, and it has not
// expired.
func (t *ThrowAway) hasOffer(message string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.offers {
		if o.message == message {
			return t.now().Before(o.expires)
		}
	}
	return false
}

// answer answers {"message": …} with {"signature": …}, or with a problem that
// says why not.
func (t *ThrowAway) answer(w http.ResponseWriter, r *http.Request) {
	message, refusal := t.readSignRequest(w, r)
	if refusal == nil {
		refusal = t.check(message, r.Host)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	answer := map[string]string{"signature": t.sign(message)}
	writeJSON(w, http.StatusOK, "application/json", answer)
}

// readSignRequest returns the message that a page of this server wants signed.
func (t *ThrowAway) readSignRequest(w http.ResponseWriter, r *http.Request) (string, *refusal) {
	if why := t.notOwnPage(r); why != "" {
		return "", &refusal{http.StatusForbidden, "origin_not_allowed", why}
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/json" {
		return "", &refusal{http.StatusUnsupportedMediaType, "unsupported_media_type",
			"the body must be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSignBody))
	if err != nil {
		return "", &refusal{http.StatusRequestEntityTooLarge, "too_large",
			"the body is longer than 16 KiB, or did not arrive"}
	}
	value, err := strictjson.Parse(body)
	members, _ := value.(map[string]any)
	message, ok := members["message"].(string)
	if err != nil || len(members) != 1 || !ok {
		return "", &refusal{http.StatusBadRequest, "invalid_request",
			`the body must be {"message": "…"}`}
	}
	return message, nil
}

// notOwnPage says why a request is not of a page of this server; "" if it is
// one. Browsers send Origin with every POST, and no page can change it.
func (t *ThrowAway) notOwnPage(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	own := scheme + "://" + strings.ToLower(r.Host)
	origin := strings.Join(r.Header.Values("Origin"), ",")
	site := strings.Join(r.Header.Values("Sec-Fetch-Site"), ",")
	switch {
	case origin == "":
		return "the request has no Origin: the throw-away wallet signs for the page at " +
			own + t.page + " alone"
	case origin != own:
		return fmt.Sprintf("the request is of a page of %q:"+
			" the throw-away wallet signs for the page at %s alone", origin, own+t.page)
	case site != "" && site != "same-origin":
		return fmt.Sprintf("Sec-Fetch-Site is %q: it must be same-origin", site)
	}
	return ""
}

// check returns why the wallet does not sign a message for a page of host, or
// nil if it does.
func (t *ThrowAway) check(message, host string) *refusal {
	refuse := func(why string) *refusal {
		return &refusal{http.StatusForbidden, "message_refused", why}
	}
	m, err := siwe.Parse([]byte(message))
	switch {
	case err != nil:
		return refuse("the throw-away wallet signs nothing but sign-in messages: " + err.Error())
	case m.Domain != strings.ToLower(host):
		return refuse(fmt.Sprintf("the message is for %s, and this page is at %s", m.Domain, host))
	case m.Address != t.address:
		return refuse("the message is for another account than the throw-away wallet's: " +
			"each start of the server generates a new one")
	case !t.hasOffer(message):
		return refuse("this server did not make the message, or it has expired: " +
			"request a new one from /auth/nonce")
	}
	return nil
}

// sign returns the signature as personal_sign does: v is 27 or 28.
func (t *ThrowAway) sign(message string) string {
	digest := wallet.Digest([]byte(message))
	signature, err := crypto.Sign(digest[:], t.key)
	if err != nil {
		panic(err) // only if the digest is not 32 bytes
	}
	signature[64] += 27
	return "0x" + hex.EncodeToString(signature)
}

// refusal is an answer in the form of the API's errors (RFC 9457).
type refusal struct {
	status       int
	code, detail string
}

func (f *refusal) write(w http.ResponseWriter) {
	writeJSON(w, f.status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(f.status), "status": f.status,
		"code": f.code, "detail": f.detail,
	})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, value any) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails only if the client has gone
}
