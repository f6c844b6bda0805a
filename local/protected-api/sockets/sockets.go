// Package sockets is an example of how a WebSocket API that Latchkey's
// authorizer guards closes its connections when their session ends. Like the
// package orders, it could be anybody's, and does not import any package of
// Latchkey.
//
// [Handler] stores each connection by its session, and [Consumer] closes those
// of a session for which an event session.ended arrives. A session may end
// while its connection opens. Therefore Consumer stores that the session has
// ended before it looks for connections, and Handler asks for that after it has
// stored its connection. Both read what the other has written, so at least one
// of them notices.
package sockets

import (
	"context"
	"errors"
	"time"
)

// Connection is a connection of a WebSocket API. Nothing of it is secret.
type Connection struct {
	ID      string // of API Gateway
	Session string // the session that opened it, as the authorizer names it
	Opened  time.Time
}

const (
	// LongestConnection is how long API Gateway keeps a connection open at
	// most.
	LongestConnection = 2 * time.Hour
	// LongestHandshake is how long API Gateway waits for the authorizer and for
	// the function, ten and 29 seconds, with a margin. In this time a
	// connection that was stored may still be opening.
	LongestHandshake = 45 * time.Second
	// EndKept is how long it is stored that a session has ended. A connection
	// that was allowed before is stored soon after, and none is allowed later.
	EndKept = time.Hour
)

// Table stores connections, and which sessions have ended. Each method sees
// what every call that has returned before has written.
type Table interface {
	// Put stores a connection. It is kept for [LongestConnection] at most.
	Put(ctx context.Context, c Connection) error
	// Remove removes a connection. One that is not stored is no error.
	Remove(ctx context.Context, c Connection) error
	// Of returns the connections of a session.
	Of(ctx context.Context, session string) ([]Connection, error)
	// End stores that a session has ended. It is kept for [EndKept].
	End(ctx context.Context, session string) error
	// HasEnded reports whether End was called for a session.
	HasEnded(ctx context.Context, session string) (bool, error)
}

// ErrGone means that there is no such connection. It has ended, or is not open
// yet.
var ErrGone = errors.New("the connection is gone")

// Closer closes connections.
type Closer interface {
	// Close closes the connection with an id of API Gateway. It returns
	// [ErrGone] if no such connection is open.
	Close(ctx context.Context, id string) error
}
