package verifier

import "latchkey/shared/chain"

// Read returns what an answer to a question says.
func Read(q chain.Question, payload []byte) error { return read(q, payload) }
