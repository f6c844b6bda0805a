//go:build !linux

package session_test

// background does nothing: only Linux has a scheduler for the background.
func background() {}
