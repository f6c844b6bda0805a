// Package history checks the sessions of package session against a
// specification. Many clients work at the same time and answers get lost. What
// happened must be what could have happened one operation after the other.
//
// [Model] is the specification. A [Driver] makes clients work at the same time
// on a Redis and records what they saw as a [History]. [History.Check] uses
// porcupine to search an order of the operations of each account in which the
// model gives the same answers. A [Runner] executes single operations, for
// tests that run in lockstep with the model.
//
// # Driving a Redis
//
//	d, err := history.NewDriver(client, history.Config{
//		Rules: session.Options{Prefix: prefix, Idle: 4 * time.Minute, …},
//		Clients: 4, Accounts: 2, Operations: 40,
//		Step: 20 * time.Second, Skew: 30 * time.Second,
//		Patience: 2 * time.Second,
//	})
//	for seed := range uint64(1000) {
//		err := d.Run(ctx, seed).Check(10 * time.Second)
//	}
//	fmt.Println(d.Progress())
//
// The client is any [redis.UniversalClient] that was not used yet and does not
// retry on its own: of a single server, of a cluster, or through a proxy that
// does harm. Faults may come from outside at any time: kill, freeze, cut,
// migrate. Below the client's redirects, the driver sees how often a script was
// sent and not answered. It records each such attempt as an operation that may
// have happened at any later time, or never. Faults that the driver causes
// itself, [Config.Faults], are checked more strictly, because it knows that the
// script ran. A Redis that loses writes that it acknowledged cannot be checked:
// a failover must not lose any, so a replica must not be promoted without the
// last writes.
//
// Clocks are simulated. A common clock moves on at each operation, and each
// client's clock differs from it by up to Skew. So deadlines, grace and touch
// interval are met within a second of real time. The real time of an operation
// or a fault does not count on these clocks. Only the reply cache and the
// tickets of Redis live in real time. It keeps the reply to a repeated operation
// for five minutes, and a ticket for two, so Patience must be well below that.
//
// Each history has its own accounts. So several drivers, and any number of
// histories, can share a prefix. Fifty to a hundred operations of an account
// with a few lost attempts are checked within milliseconds, rarely seconds. A
// check that takes longer than its patience returns [ErrUndecided], which is a
// failure. A [*Violation] lists the account's operations in the order of their
// calls, marks those that fit into no order, and has the seed. Draw draws it.
// With the same seed each client wants the same operations, but how they
// interleave differs from run to run.
//
// The package is for tests. No function uses it.
package history
