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
// # What counts
//
// Connect, ping, prepare, begin, exec, query, commit, rollback, and reading
// rows: a query's call ends when its rows are at their end, fail, or are
// closed, and is slow by the time to its first row. A call that prepares work
// or takes it back (connect, prepare, begin, rollback) counts when it fails;
// its success is no evidence, or it would hide that what follows always fails.
//
// Classify says what an error is evidence of: a broken connection is a failure,
// the database's word about the statement (no rows, a constraint, a syntax
// error, a deadlock) is a success, because it answered. A caller that cancels
// is no evidence; a deadline that passes is a failure.
//
// # While the breaker is open
//
// Calls return an error that matches breaker.ErrOpen, and never
// driver.ErrBadConn, upon which database/sql would try again. Commit and
// rollback always run: a connection would go back to the pool with its
// transaction still open.
//
// # Behind the breaker
//
// A guarded connection has the optional interfaces of the one it wraps.
// sql.Conn.Raw hands out the guarded one; Raw of this package is the driver's
// own.
package breakersql
