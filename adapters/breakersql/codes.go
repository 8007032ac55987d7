package breakersql

import "github.com/switchgear-go/switchgear/breaker"

// PostgreSQL judges a SQLSTATE of PostgreSQL, or of a compatible database.
// Failures are the classes 08 (connection), 53 (resources), 57 (operator
// intervention: shutting down, starting up, statement_timeout), 58 (system)
// and XX (internal). A session that the server closed because it was idle is
// not evidence. All others are successes, because the server answered, even if
// the answer is a constraint, a deadlock, an unavailable lock, or wrong
// credentials.
func PostgreSQL(sqlState string) breaker.Outcome {
	if len(sqlState) != 5 {
		return breaker.Ignored
	}
	switch sqlState {
	case "25P03", "57P05": // idle in transaction, idle
		return breaker.Ignored
	}
	switch sqlState[:2] {
	case "08", "53", "57", "58", "XX":
		return breaker.Failure
	}
	return breaker.Success
}

// MySQL judges an error number of MySQL or MariaDB. Failures are those of
// connections, of resources, of a server that shuts down or is not ready, and
// max_execution_time. A query that was killed is not evidence. All others are
// successes, because the server answered, even if the answer is a duplicate
// key, a deadlock, an unavailable lock, or wrong credentials.
func MySQL(number int) breaker.Outcome {
	switch number {
	case 1105, 1317, 1927, 4031: // unknown (proxies say it of anything), interrupted, killed, idle
		return breaker.Ignored
	case
		1021, 1037, 1038, 1041, 1135, // disk full, out of memory, of sort memory, of resources, of threads
		1040, 1203, 1226, // too many connections
		1042, 1043, 1047, 1129, // no name of the host, bad handshake, cluster node not ready, host blocked
		1053, 1077, 1078, 1079, 1080, // shutting down
		1152, 1158, 1159, 1160, 1161, 1184, // aborted connections, errors of the network
		2002, 2003, 2006, 2013, 2055, // a client's words for no connection, as proxies pass them on
		3024, 3032, 3168: // out of execution time, offline, not available
		return breaker.Failure
	}
	return breaker.Success
}

// SQLite judges a result code of SQLite, extended or not. Failures are those
// of the file and the machine: out of memory, an input or output error, a
// corrupt, full, unopenable or foreign file, internal errors. An interrupt is
// not evidence. All others are successes, including a busy or locked database:
// another connection is using it.
func SQLite(code int) breaker.Outcome {
	switch code & 0xff { // the extended codes have more above
	case 9: // SQLITE_INTERRUPT
		return breaker.Ignored
	case 2, 7, 10, 11, 13, 14, 15, 26: // INTERNAL, NOMEM, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
		return breaker.Failure
	}
	return breaker.Success
}
