// Package faults tests what a user sees while Redis, or the network to it,
// fails: a primary that dies, a replica that is promoted without the last
// writes, connections that are cut, memory that is full, slots that move.
//
// Each fault has a test. The test drives the session store with the same client
// and deadlines that a function has. It asserts three things: what the caller
// is answered, that nobody gets in who should not, and that no change is left
// half done. Each test says what else its fault may do. Faults that only show
// in a process or in the response over HTTP are tested in shared/boot,
// shared/api and shared/authorizer.
package faults
