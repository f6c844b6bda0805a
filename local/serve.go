package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// drain is how long requests under way may take after the signal: as long as API
// Gateway would have waited for them.
const drain = 30 * time.Second

// serve listens on the loopback interface until ctx is done, then lets the requests
// under way finish. It calls ready once connections are accepted.
func serve(ctx context.Context, handler http.Handler, port int, ready func()) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is in use: stop what listens there, or choose another with PORT=%d make run", port, other(port))
	}
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	ready()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		return fmt.Errorf("waiting for the last requests: %w", err)
	}
	return nil
}

// other suggests a port beside one that is taken.
func other(port int) int {
	if port == 65535 {
		return port - 1
	}
	return port + 1
}
