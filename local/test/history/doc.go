// Package history holds the sessions of package session against a specification: what happened while many clients worked
// at once, while answers were lost, must be what would have happened one operation after the other.
//
// Model is the specification. A Driver has clients work at once on a Redis and writes down what they met, as a History;
// its Check looks, with porcupine, for an order of the operations of each account in which the model gives the very answers
// that were given. A Runner does single operations, for tests that go in lockstep with the model.
//
// # Driving a Redis
//
//	d, err := history.NewDriver(client, history.Config{
//		Rules: session.Options{Prefix: prefix, Idle: 4 * time.Minute, …}, Clients: 4, Accounts: 2, Operations: 40,
//		Step: 20 * time.Second, Skew: 30 * time.Second, Patience: 2 * time.Second,
//	})
//	for seed := range uint64(1000) {
//		err := d.Run(ctx, seed).Check(10 * time.Second)
//	}
//	fmt.Println(d.Tally())
//
// The client is any redis.UniversalClient that nobody has used yet and that does not retry on its own, so one of a single
// server, of a cluster, or through a proxy that does harm. Faults may come from outside at any time: kill, freeze, cut,
// migrate. The driver sees below the client's redirects how often a script was sent and not answered, and writes down each
// such attempt as an operation that may have happened at any time from then on, or never. Faults that it brings about
// itself, Config.Faults, are stricter: it knows that the script ran. What no checker may be asked to accept is a Redis that
// forgets what it acknowledged: a replica that is promoted without the last writes. Have no failover lose any.
//
// Clocks are made up. One goes for all, and moves on at each operation; a client's own differs from it by up to Skew. So
// deadlines, grace and touch interval are met within a second of real time, and the real time that an operation takes, or
// that a fault lasts, passes for nobody. Only the answers that Redis keeps for a repeated operation live in real time, for
// a minute: keep Patience well below it.
//
// Each history has accounts of its own, so several drivers, and histories without end, can share a prefix. Fifty to a
// hundred operations an account with a handful of unheard attempts are checked within milliseconds, seldom seconds; a
// check that takes longer than its patience is ErrUndecided, which is a failure. A *Violation prints the account's
// operations in the order of their calls, marks those that fit into no order, names the seed, and draws a picture with
// Draw. The same seed wants the same of each client; how the clients meet differs from run to run.
//
// It is a kit for tests and part of no function.
package history
