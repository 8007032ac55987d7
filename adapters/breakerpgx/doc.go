// Package breakerpgx guards a pool of native pgx connections with a circuit
// breaker. For pgx behind database/sql use package breakersql.
//
// # Usage
//
// A Pool has the methods of a pgxpool.Pool, so generated code and helpers that
// ask for an interface, such as sqlc's DBTX and pgx.BeginFunc, take it as it is:
//
//	pool, err := breakerpgx.New(ctx, dsn, b)
//
// Statements of the pool, of an acquired Conn and of a transaction are guarded:
// Exec, Query, QueryRow, SendBatch, CopyFrom, Begin, Prepare, Ping and Commit.
// What the raw *pgx.Conn does (Conn.Conn, Pool.Pool), such as LISTEN and
// WaitForNotification, and large objects are not.
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only the dependency's own doing is.
//
// Failures are a connection that breaks or cannot be made, a deadline that passes
// while the database is asked, and the SQLSTATEs that breakersql.PostgreSQL calls
// failures: classes 08, 53, 57, 58 and XX. All other answers of the server are
// successes: no rows, a constraint, a syntax error, a deadlock. WithClassifier
// changes that.
//
// Not evidence either way are:
//
//   - a caller's cancel, and what follows on the connection that pgx closed
//     because of it, such as the rollback;
//   - what never left the process: a wrong number of arguments, one that cannot
//     be encoded, a transaction that has ended, a closed pool;
//   - waiting for a free connection of the program's own pool, also when the
//     caller's deadline ends first;
//   - a process that has no file descriptor left for a connection;
//   - errors and delays of the program's own code: a CopyFromSource, a callback
//     of a batch, a Scanner, the hooks of pgxpool.Config, and a reader of rows
//     whose deadline passes while it does not read;
//   - a panic.
//
// A connection that breaks counts once, however many statements of its
// transaction fail afterwards. What prepares work or takes it back (connect,
// Begin, Prepare, Rollback) counts only if it fails.
//
// # Rows and batches
//
// The outcome of a query is known when its rows have been read or closed, and
// that of a batch when its results are closed. Both must be closed, as pgx
// demands. Slow calls (breaker.Settings.SlowCall) are timed to the first row or
// result, without the wait for a connection.
//
// # Connections
//
// pgxpool pings a connection that has been idle for a second before it hands it
// out, and replaces it if it is dead. The guarded pool also asks for that ping
// when an idle connection has something to say, which on Unix costs one system
// call: a server that restarted or failed over has closed its connections, and
// no caller gets one of them. Connections that the pool opens of its own accord
// (MinConns) are not evidence, and are opened while the breaker is open too.
//
// # While the breaker is open
//
// Calls return an error that matches breaker.ErrOpen, before they wait for a
// connection. Commit and Rollback always run, because the connection would
// otherwise stay in its transaction.
package breakerpgx
