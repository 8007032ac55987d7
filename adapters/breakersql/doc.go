// Package breakersql puts a circuit breaker between database/sql and a driver,
// so that everything above database/sql, an ORM too, is guarded by one line:
//
//	db, err := breakersql.Open("pgx", dsn, b)
//
// or, for a driver.Connector,
//
//	db := sql.OpenDB(breakersql.Connector(connector, b))
//
// or, for a library that wants the name of a driver,
//
//	sql.Register("guarded-pgx", breakersql.Driver(stdlib.GetDefaultDriver(), b))
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only the dependency's own doing is.
//
// Calls are connect, ping, prepare, begin, exec, query, commit, rollback, and
// reading rows: a query's call ends when its rows are at their end, fail, or are
// closed, and is slow by the time to its first row. A call that prepares work
// or takes it back (connect, prepare, begin, rollback) counts when it fails;
// its success is not evidence, or it would hide that what follows always fails.
//
// Classify says what an error is evidence of: a broken connection is a failure,
// the database's word about the statement (no rows, a constraint, a syntax
// error, a deadlock) is a success, because it answered. A caller that cancels
// is not evidence; a deadline that passes is a failure, unless it passes while rows
// wait to be read. A process that has no file descriptor left for a connection
// is not evidence. A driver that panics is a mistake of the program.
//
// driver.ErrBadConn on a connection that was in use before, or that has been in
// the pool for a while, is not evidence: it died while it was idle, and
// database/sql tries another, which gives the verdict. On a new connection it is
// a failure. What follows on a connection that a caller's cancel has spoiled (the
// rollback, the next statement of a sql.Conn) is not evidence, and what follows
// on a broken one is not a second failure. A transaction fails once.
//
// A connect that fails is a failure, unless the database answered, because most
// drivers do not say why. What is the program's own in it, such as a provider of
// passwords that pgx asks, is for the breaker to ignore:
//
//	b := breaker.New("db", breaker.Settings{}, breaker.WithIgnored(breaker.ErrorIs(errNoToken)))
//
// # While the breaker is open
//
// Calls return an error that matches breaker.ErrOpen, and never
// driver.ErrBadConn, upon which database/sql would try again. Commit and
// rollback always run: a connection would go back to the pool with its
// transaction still open.
//
// # Connection lifetimes
//
// Set sql.DB.SetConnMaxIdleTime below the time after which the server or a
// firewall drops idle connections, and SetConnMaxLifetime so that connections
// move to a new primary. Dead ones then seldom reach a call. Drivers that report
// a dead connection in other words than driver.ErrBadConn fail the caller's
// call, with the breaker as without it, and that is a failure.
//
// # Behind the breaker
//
// A guarded connection has the optional interfaces of the one it wraps, and a
// guarded DB's Driver is the driver's own. sql.Conn.Raw hands out the guarded
// connection; Raw of this package is the driver's own behind it, and what is done
// with that is not guarded:
//
//	err := conn.Raw(func(c any) error {
//		pg := breakersql.Raw(c).(*stdlib.Conn).Conn() // pgx's own, for CopyFrom, batches and notifications
//		...
//	})
//
// A library that asks sql.Conn.Raw for its own type cannot do this, such as
// pgdriver.CopyFrom and CopyTo of bun: give it a connection of a DB that is not
// guarded.
package breakersql
