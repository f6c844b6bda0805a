// Package boot wires the other packages into a running function and has the
// mains of all functions. It contains no rules of its own.
package boot
