package token

import (
	"crypto/rand"

	"latchkey/shared/seal"
)

// NewTicket returns a ticket of a session, with a random secret. generation is
// that of the access token that asks for it.
func NewTicket(key seal.KeyID, id ID, generation uint32) Token {
	t := Token{kind: Ticket, key: key, id: id, generation: generation}
	rand.Read(t.secret[:]) // never fails, see NewRefresh
	return t
}
