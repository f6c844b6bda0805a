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
	listeners, err := listen(port)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.Serve(l) }()
	}
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

// listen opens the port on both loopback addresses: localhost may mean either, and
// somebody else's server on the other one would get what is meant for this. A machine
// without IPv6 has one.
func listen(port int) ([]net.Listener, error) {
	var open []net.Listener
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		switch {
		case err == nil:
			open = append(open, l)
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("port %d is in use: stop what listens there, or choose another with PORT=%d make run", port, other(port))
		case len(open) == 0:
			return nil, fmt.Errorf("listening: %w", err)
		}
	}
	return open, nil
}

// other suggests a port beside one that is taken.
func other(port int) int {
	if port == 65535 {
		return port - 1
	}
	return port + 1
}
