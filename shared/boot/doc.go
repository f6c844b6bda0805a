// Package boot turns the environment into a running function: variables into
// the key ring, the Redis client, the session store and the HTTP edge, and
// events into HTTP requests for that edge or into sweeps.
package boot
