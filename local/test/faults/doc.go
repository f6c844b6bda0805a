// Package faults holds the tests of what a user sees while Redis, or the way to it, fails: a primary that dies, a replica
// that takes over without the last writes, connections that are cut, memory that is full, slots that move.
//
// Each fault has its test, which drives the session store over the very client that a function has, with its deadlines,
// and asserts three things: what the caller is answered, that nobody gets in who should not, and that afterwards nothing is
// half done. What else a fault may do, its test says. Faults that show only in a process, or in the answer over HTTP, are in
// shared/boot, shared/api and shared/authorizer.
package faults
