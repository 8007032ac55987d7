// Package breakerredis guards go-redis clients with circuit breakers, one for
// each node.
//
// # Usage
//
// One line guards a client, a cluster's nodes or a ring's shards, before the
// first command. The keys of the set are the nodes' addresses, so that one
// node's trouble is not the others':
//
//	client := redis.NewClusterClient(options)
//	err := breakerredis.Guard(client, breaker.SetOf[string](manager, "redis"))
//
// WithKey gives other names, such as those of the masters that Sentinel clients
// ask for. NewHook makes a hook of a single breaker, for a client's AddHook.
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only the dependency's own doing is.
//
// A command is one call, with its connecting, its handshake and its retries;
// so is a pipeline or a transaction. In a cluster or a ring it is one call to
// each node that it was tried at. Broken connections, timeouts and replies that
// cannot be understood are failures. The server's replies, redis.Nil and
// redis.TxFailedErr are successes: the node answered. Some replies are failures
// nevertheless, because with them a node says that it cannot serve: LOADING,
// BUSY (a script holds it), MASTERDOWN, CLUSTERDOWN and "ERR max number of
// clients reached"; see WithFailureReplies. A pipeline or a transaction fails if
// one of its commands got such a reply; EXECABORT itself says nothing. READONLY,
// OOM, MISCONF and NOREPLICAS refuse writes alone, and TRYAGAIN, MOVED and ASK
// certain keys alone: they are successes, since to reject all commands for them
// would make half an outage a whole one.
//
// Not evidence either way are:
//
//   - a caller's cancel, and a command whose context had ended before it began;
//   - the wait for the program's own pool, whether redis.ErrPoolTimeout,
//     redis.ErrPoolExhausted or the caller's deadline ends it;
//   - a client that the program closes, and what follows on a redis.Conn whose
//     connection is broken;
//   - an argument that cannot be sent, errors of the program's limiter,
//     provider of credentials or OnConnect, and a panic;
//   - a process that has no file descriptor left for a connection;
//   - a command that blocks on purpose, such as BLPOP or XREAD BLOCK, whose
//     caller's deadline comes before the end of its wait.
//
// A node that hangs shows itself by Options.ReadTimeout, which must not be
// switched off, or by a context's deadline where Options.ContextTimeoutEnabled
// is set. What is judged a failure is still subject to the breaker's own
// exclusions and classifier.
//
// Commands that block on purpose are never slow calls.
//
// # Connections
//
// Connections that the pool opens of its own accord, and those of
// subscriptions, are opened without asking the breaker and are not evidence:
// the pool dials in the background, apart from the command that waits for it,
// and recovers by it. The handshake of a subscription is a call like any
// other, so that an open breaker lets none through. The hook watches
// connections for failures, so that it can tell a node that hangs from a pool
// that is too small; add it before the first command.
package breakerredis
