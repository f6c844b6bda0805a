// Package verifier lets a function ask another one whether a contract accepts a
// signature. [Client] invokes the function verify-signature, and [NewHandler]
// is that function: it can reach the chains, and has neither sessions nor keys.
// Both are here because each must read exactly what the other writes.
//
// The event is {"chain":1,"account":"0x…","digest":"0x…","signature":"0x…"},
// with the account in its EIP-55 form and the others in lower case. The answer
// repeats chain, account and digest, and adds result, reason and
// retryAfterSeconds. A reason is for the log, and contains no URL.
package verifier
