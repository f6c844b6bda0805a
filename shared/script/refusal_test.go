package script_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// refusal is a reply of a server that is an error.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError implements [redis.Error].
func (refusal) RedisError() {}

const sha = "5f2ca6b0e0a8f4b1b6f2b9a2d4e1c7d8e9f00112"

// outages are what servers say that cannot or may not serve now, in the words
// of Redis 5 to 7.4 and of Valkey 7.2 and 8.
var outages = []string{
	// The user.
	"NOAUTH Authentication required.",
	"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
	"WRONGPASS invalid username-password pair or user is disabled.",
	"WRONGPASS invalid username-password pair",
	"ERR invalid password",
	"ERR Client sent AUTH, but no password is set",
	"ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
	"NOPERM this user has no permissions to run the 'evalsha' command",
	"NOPERM this user has no permissions to run the 'evalsha' command or its subcommand",
	"NOPERM this user has no permissions to access one of the keys used as arguments",
	"NOPERM User latchkey has no permissions to run the 'evalsha' command",
	"NOPERM User latchkey has no permissions to access the 'lk:sum' key",
	"NOPERM No permissions to access a key",
	"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand",
	"ERR The user executing the script can't run this command or subcommand",
	"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
	"ERR The user executing the script can't publish to the channel mentioned in the command",
	"ERR The user executing the script is lacking the permissions for the command",
	"ERR The user executing the script lacking the permissions for the command",
	"ERR ACL failure in script: User latchkey has no permissions to run the 'setrange' command",
	"ERR ACL failure in script: User latchkey has no permissions to access the 'lk:{b3f}:c' key",
	"ERR ACL failure in script: No permissions to access a key",
	"ERR operation not permitted",
	// What the server is, or does just now.
	"READONLY You can't write against a read only replica.",
	"READONLY You can't write against a read only slave.",
	"READONLY Can not run script with write flag on readonly replica",
	"REDIRECT 10.0.0.7:6379",
	"LOADING Redis is loading the dataset in memory",
	"LOADING Valkey is loading the dataset in memory",
	"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
	"MASTERDOWN Link with MASTER is down and slave-serve-stale-data is set to 'no'.",
	"ERR Can not execute the command on a stale replica",
	"ERR Replica can't interact with the keyspace",
	"NOREPLICAS Not enough good replicas to write.",
	"NOREPLICAS Not enough good slaves to write.",
	"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
	"BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
	"BUSY Redis is busy running a module command.",
	"UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
	"ERR Script killed by user with SCRIPT KILL...",
	"ERR Error running script, Script killed by user with SCRIPT KILL...",
	"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
	"INPROG Failover already in progress",
	"NOMASTERLINK Can't SYNC while not connected with my master",
	"EXECABORT Transaction discarded because of previous errors.",
	"EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
	// Memory, disk and connections.
	"OOM command not allowed when used memory > 'maxmemory'.",
	"OOM command not allowed when used memory > 'maxmemory'",
	"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
	"ERR not enough memory",
	"ERR Insufficient memory, failed allocating transient memory, too many args.",
	"MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
	"MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
	"MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk.",
	"MISCONF Errors writing to the AOF file: No space left on device",
	"ERR max number of clients reached",
	"ERR max number of clients + cluster connections reached",
	// A cluster, or none.
	"MOVED 3999 127.0.0.1:6381",
	"ASK 3999 127.0.0.1:6381",
	"TRYAGAIN Multiple keys request during rehashing of slot",
	"CLUSTERDOWN The cluster is down",
	"CLUSTERDOWN The cluster is down and only accepts read commands",
	"CLUSTERDOWN Hash slot not served",
	"ERR This instance has cluster support disabled",
	"ERR SELECT is not allowed in cluster mode",
	"ERR DB index is out of range",
	"ERR Script attempted to access a non local key in a cluster node",
	"ERR Lua script attempted to access a non local key in a cluster node",
	"ERR Script attempted to access a slot not served",
	"ERR Script attempted to execute a command while the cluster is down",
	"ERR Script attempted to execute a write command while the cluster is down and readonly",
	"ERR Lua script attempted to execute a command while the cluster is down",
	"ERR Can not run script on cluster, 'no-cluster' flag is set.",
	// The way there.
	"DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.",
	"DENIED Running in protected mode because protected mode is enabled and no password is set for the default user.",
	"NOPROTO unsupported protocol version",
	"ERR Protocol error: invalid bulk length",
	"ERR Protocol error: unauthenticated multibulk length",
	// What nobody has thought of.
	"ERR the server is tired today",
	"TIRED the server is tired today",
	"ERR",
}

// mistakes are what servers say to a mistake in a script or a command.
var mistakes = []string{
	"ERR Error compiling script (new function): user_script:1: '=' expected near 'x'",
	"ERR user_script:3: attempt to index local 'x' (a nil value)",
	"ERR user_script:3: attempt to perform arithmetic on a nil value",
	"ERR user_script:1: Script attempted to access nonexistent global variable 'redis2'",
	"ERR user_script:7: stack overflow",
	"ERR user_script:7: bad argument #1 to 'sub' (string expected, got boolean)",
	"ERR reached lua stack limit",
	"ERR unknown command 'evalsh', with args beginning with: 'a' 'b' ",
	"ERR unknown command `evalsh`, with args beginning with: `a`, `b`, ",
	"ERR unknown command 'evalsh'",
	"ERR unknown subcommand 'slotz'. Try CLUSTER HELP.",
	"ERR Unknown subcommand or wrong number of arguments for 'slotz'. Try CLUSTER HELP.",
	"ERR Unknown Redis command called from script",
	"ERR Unknown Redis command called from Lua script",
	"ERR Unknown command called from script",
	"ERR wrong number of arguments for 'get' command",
	"ERR wrong number of arguments for 'cluster|slots' command",
	"ERR Wrong number of args calling Redis command from script",
	"ERR Wrong number of args calling Redis command From Lua script",
	"ERR Wrong number of args calling command from script",
	"ERR Please specify at least one argument for this redis lib call",
	"ERR Please specify at least one argument for redis.call()",
	"ERR Please specify at least one argument for this call",
	"ERR Lua redis lib command arguments must be strings or integers",
	"ERR Lua redis() command arguments must be strings or integers",
	"ERR Command arguments must be strings or integers",
	"ERR Number of keys can't be greater than number of args",
	"ERR Number of keys can't be negative",
	"ERR syntax error",
	"ERR syntax error, WITHSCORES not supported in combination with BYLEX",
	"ERR value is not an integer or out of range",
	"ERR value is not a valid float",
	"ERR value is out of range",
	"ERR value is out of range, must be positive",
	"ERR value is NaN or Infinity",
	"ERR min or max is not a float",
	"ERR min or max not valid string range item",
	"ERR hash value is not an integer",
	"ERR increment or decrement would overflow",
	"ERR decrement would overflow",
	"ERR increment would produce NaN or Infinity",
	"ERR invalid expire time in 'set' command",
	"ERR invalid expire time in set",
	"ERR index out of range",
	"ERR offset is out of range",
	"ERR string exceeds maximum allowed size (proto-max-bulk-len)",
	"ERR string exceeds maximum allowed size (512MB)",
	"ERR no such key",
	"ERR GT and LT options at the same time are not compatible",
	"ERR GT, LT, and/or NX options at the same time are not compatible",
	"ERR NX and XX, GT or LT options at the same time are not compatible",
	"ERR XX and NX options at the same time are not compatible",
	"WRONGTYPE Operation against a key holding the wrong kind of value",
	"ERR This Redis command is not allowed from script",
	"ERR This Redis command is not allowed from scripts",
	"ERR Write commands are not allowed from read-only scripts.",
	"ERR Write commands not allowed after non deterministic commands. Call redis.replicate_commands() at the start of your script in order to switch to single commands replication mode.",
	"CROSSSLOT Keys in request don't hash to the same slot",
	"ERR Script attempted to access keys that do not hash to the same slot",
	"ERR Command 'mget' in script attempted to access keys that don't hash to the same slot",
	"ERR Unable to execute command 'mget' in script because undeclared keys were accessed during rehashing of the slot",
	"NOSCRIPT No matching script. Please use EVAL.",
	"NOSCRIPT No matching script.",
}

// wrappings are how versions of the servers pass on what a command in a script
// was answered.
var wrappings = map[string]func(text string) string{
	"alone":   func(text string) string { return text },
	"Redis 7": func(text string) string { return text + " script: " + sha + ", on @user_script:12." },
	"Redis 6.2": func(text string) string {
		return "ERR Error running script (call to f_" + sha + "): @user_script:12: " + text
	},
	"Redis 6.2 -": func(text string) string {
		return "ERR Error running script (call to f_" + sha + "): @user_script:12: @user_script: 12: -" + text + "  "
	},
	"Redis 6.2, without ERR": func(text string) string {
		return "ERR Error running script (call to f_" + sha + "): @user_script:12: @user_script: 12: " + strings.TrimPrefix(text, "ERR ")
	},
	"Redis 6.2, returned by pcall": func(text string) string { return "@user_script: 12: -" + text },
}

// classified is what a reply becomes.
func classified(err error) error { return script.Retry(ctx, func() error { return err }) }

// A refusal in words that nobody expected is an outage, in each of the forms in
// which servers pass it on. Only what is known to be a mistake of this code is
// a defect.
func TestRetry_wordsOfServers(t *testing.T) {
	if n := len(outages) + len(mistakes); n < 100 {
		t.Errorf("only %d wordings", n)
	}
	for form, wrap := range wrappings {
		for _, text := range outages {
			if err := classified(refusal(wrap(text))); !errors.Is(err, script.ErrUnavailable) || !errors.Is(err, refusal(wrap(text))) {
				t.Errorf("%s: an outage is told as %v", form, err)
			}
		}
		for _, text := range mistakes {
			if err := classified(refusal(wrap(text))); err != error(refusal(wrap(text))) {
				t.Errorf("%s: a defect is told as %v", form, err)
			}
		}
	}
}

// What is no reply is the connection's fault, whatever it says.
func TestRetry_connections(t *testing.T) {
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, os.ErrDeadlineExceeded, context.DeadlineExceeded,
		redis.ErrClosed, redis.ErrPoolTimeout, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, errors.New("WRONGTYPE, says a proxy"),
	} {
		if got := classified(err); !errors.Is(got, script.ErrUnavailable) || !errors.Is(got, err) {
			t.Errorf("%v is told as %v", err, got)
		}
	}
}
