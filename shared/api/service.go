package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"

	"latchkey/shared/token"
)

// Service is a key of a backend that may call [API.Validate]. A backend with two
// keys is in the list twice.
type Service struct {
	// Name is what the log calls it.
	Name string
	// Hash is the SHA-256 of its service key: see [token.ServiceKeyHash].
	Hash [sha256.Size]byte
}

// findService finds out which backend sends a request, by its service key. Its
// errors are about that key alone. It compares all keys, each in constant time,
// so that the time of an answer says nothing about them.
func (x *exchange) findService() error {
	text, err := bearerToken(x.r.Header)
	if err != nil {
		return err
	}
	if text == "" {
		return x.noCredentials("no service key was sent: send it as Authorization: Bearer")
	}
	hash, err := token.ServiceKeyHash(text)
	if err != nil {
		return errServiceKey
	}
	for _, service := range x.api.cfg.Services {
		if subtle.ConstantTimeCompare(hash[:], service.Hash[:]) == 1 {
			x.service = service.Name
		}
	}
	if x.service == "" {
		return errServiceKey
	}
	x.concerns(slog.String("service", x.service))
	return nil
}

var errServiceKey = fail(codeInvalidToken,
	"the service key is not valid: send one whose hash is in SERVICE_KEYS")
