// Package wallets has tests that sign in as wallets do, in JavaScript: with viem,
// an account of Solady and a Safe, against the local server and two real EVMs.
// Its scripts take their packages from client/package.json.
package wallets
