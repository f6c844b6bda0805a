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
		err := client.Set(ctx, key, "", time.Second).Err()
		for range 2 { // a machine that is busy, such as with the build, is slow
			if isTimeout(err) {
				err = client.Set(ctx, key, "", time.Second).Err()
			}
		}
		if err != nil {
			d := &diagnosis{config: r}
			return errors.New(d.sentence(err))
		}
	}
	return nil
}

// advice says what to set, after the address of the server. REASON stands for the
// error.
var advice = map[string]string{
	nothingThere: " cannot be reached (REASON): start it, or set REDIS_HOST and REDIS_PORT," +
		" or leave REDIS_HOST out to use the embedded Redis",
	expectsTLS: " hangs up without an answer, so it probably expects TLS: set REDIS_TLS=true",
	noTLS:      " does not speak TLS: leave REDIS_TLS out, or set REDIS_PORT to its TLS port",
	untrustedServer: " has a certificate that is not valid for it (REASON): set REDIS_HOST to a name" +
		" in the certificate, and have the system trust its authority",
	notCluster:  " is not a cluster: leave REDIS_CLUSTER out",
	clusterNode: " is a node of a cluster: set REDIS_CLUSTER=true",
	isReplica:   " is a replica: set REDIS_HOST to its primary",
	notRedis:    " does not answer like Redis: set REDIS_HOST and REDIS_PORT",
	"":          " does not work (REASON): look at REDIS_HOST and REDIS_PORT",
}

// sentence says what is wrong, given the first error, and what to set.
func (d *diagnosis) sentence(err error) string {
	found := d.causeOf(err)
	text, known := advice[found.text]
	switch {
	case found.text == refusesUser:
		text = d.refusal(err)
	case !known:
		text = " does not work (REASON): " + found.text + ": look at " + found.variables
	}
	return "Redis at " + d.config.Addr + strings.Replace(text, "REASON", reasonOf(err), 1)
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
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &lookup):
		return lookup.Err
	case isTimeout(err):
		return "no answer in time"
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
