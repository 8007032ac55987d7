// Package fleet makes the breakers of many processes act as one, over Redis or
// Valkey. One line joins:
//
//	f, err := fleet.Join(ctx, &manager, fleet.Options{Redis: client, Group: "checkout"})
//	defer f.Close()
//
// Each process reports what it has counted, one of them adds up the reports, and
// each decides for itself what the sum means: a zone's evidence takes precedence
// over the fleet's, and a process's own over both. When the open time is over, one
// process probes for all.
//
// No call ever reads the store, writes to it or waits for it. If the store is slow,
// unreachable or empty, each process has its own breakers, as without a fleet.
//
//	options.go      Options
//	fleet.go        Join, Close, State
//	member.go       the loops of a member: count, report, receive
//	gauge.go        one breaker: what it has counted, and what is done to it
//	keys.go         which keys of sets are watched
//	clerk.go        the loop that reads orders and reports the inventory; orders.go carries out orders
//	coordinator.go  the loop of the member that adds up the reports
//	store.go        the interface of a store; redis.go implements it with Redis, over client.go
//
// The decisions are pure functions in internal/verdict, and the messages are in
// internal/wire. docs/fleet.md says when to use a fleet and when not, what it costs
// and what it promises. In comments, F1 to F13 are its invariants.
package fleet
