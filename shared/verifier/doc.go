// Package verifier is the function verify-signature, which says whether a
// contract accepts a signature. It can reach the chains, and has neither
// sessions nor keys. [NewHandler] is that function. [EncodeQuestion] and
// [ReadAnswer] are for its callers: they are here because each side must read
// exactly what the other writes. The package verifierclient invokes it.
//
// The event is {"chain":1,"account":"0x…","digest":"0x…","signature":"0x…"},
// with the account in its EIP-55 form and the others in lower case. The answer
// repeats chain, account and digest, and adds result, reason and
// retryAfterSeconds. A reason is for the log, and contains no URL.
package verifier
