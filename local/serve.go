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

// drain is how long requests under way may take after the signal. API Gateway
// would wait for them as long.
const drain = 30 * time.Second

// serve listens on the loopback interface until ctx is done, and then waits for
// the requests under way. It calls ready once it accepts connections.
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

// listen opens the port on both loopback addresses. localhost may mean either:
// if another server had the port on one of them, it would get requests that are
// meant for this one. On a machine without IPv6 it opens one address.
func listen(port int) ([]net.Listener, error) {
	var open []net.Listener
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		switch {
		case err == nil:
			open = append(open, l)
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("port %d is in use: stop the process that listens there,"+
				" or choose another port with PORT=%d make run", port, other(port))
		case len(open) == 0:
			return nil, fmt.Errorf("listening: %w", err)
		}
	}
	return open, nil
}

// other returns a port next to one that is in use.
func other(port int) int {
	if port == 65535 {
		return port - 1
	}
	return port + 1
}
