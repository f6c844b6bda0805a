package redisconn

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"latchkey/shared/awsenv"
	"latchkey/shared/config"
)

// Check connects to Redis and writes the keys, which expire after a second. It
// is for a start that somebody watches. If Redis is not as configured, the error
// is one sentence that says what is wrong and which variable to set. Keys in
// several slots show that a single server is a node of a cluster.
func Check(ctx context.Context, r config.Redis, env awsenv.Environment, keys []string) error {
	env.Log = slog.New(slog.DiscardHandler) // the error says it
	client, err := New(ctx, r, env)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for _, key := range keys {
		if err := client.Set(ctx, key, "", time.Second).Err(); err != nil {
			d := &diagnosis{config: r}
			return errors.New(d.sentence(err))
		}
	}
	return nil
}

// sentence says what is wrong, given the first error, and what to set.
func (d *diagnosis) sentence(err error) string {
	server := "Redis at " + d.config.Addr
	switch found := d.causeOf(err); found.text {
	case nothingThere:
		return server + " cannot be reached (" + reasonOf(err) + "): start it, or set REDIS_HOST and" +
			" REDIS_PORT, or leave REDIS_HOST out to use the embedded Redis"
	case refusesUser:
		return server + d.refusal(err)
	case expectsTLS:
		return server + " hangs up without an answer, so it probably expects TLS: set REDIS_TLS=true"
	case noTLS:
		return server + " does not speak TLS: leave REDIS_TLS out, or set REDIS_PORT to its TLS port"
	case untrustedServer:
		return server + " has a certificate that is not valid for it (" + reasonOf(err) + "): set" +
			" REDIS_HOST to a name in the certificate, and have the system trust its authority"
	case notCluster:
		return server + " is not a cluster: leave REDIS_CLUSTER out"
	case clusterNode:
		return server + " is a node of a cluster: set REDIS_CLUSTER=true"
	case isReplica:
		return server + " is a replica: set REDIS_HOST to its primary"
	case notRedis:
		return server + " does not answer like Redis: set REDIS_HOST and REDIS_PORT"
	case "":
		return server + " does not work (" + reasonOf(err) + "): look at REDIS_HOST and REDIS_PORT"
	default:
		return server + " does not work (" + reasonOf(err) + "): " + found.text + ": look at " +
			found.variables
	}
}

// refusal says that Redis requires a password, or refuses the one that was sent.
func (d *diagnosis) refusal(err error) string {
	if d.config.Password == "" && strings.Contains(err.Error(), "NOAUTH") {
		return " needs a password: set REDIS_PASSWORD, and REDIS_USERNAME unless it is the default user's"
	}
	user := "the password of its default user"
	if d.config.Username != "" {
		user = "the user " + d.config.Username + " or its password"
	}
	return " rejects " + user + ": correct " + d.credentialVariables()
}

// reasonOf returns the innermost reason of an error of the network, without
// addresses. It returns other errors as they are.
func reasonOf(err error) string {
	var number syscall.Errno
	var lookup *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &lookup):
		return lookup.Err
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	return err.Error()
}
