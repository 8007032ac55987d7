package breakersql

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// Classify says what an error of a driver is evidence of. It is the default,
// and a classifier of the program may call it.
//
// If there is a code of the database, it decides: SQLSTATE in errors with a
// method SQLState() string (pgx, lib/pq and others) by PostgreSQL, the number
// in a MySQLError by MySQL, the code in errors of SQLite drivers by SQLite.
// Otherwise a broken connection or a time-out is a breaker.Failure,
// sql.ErrNoRows is a breaker.Success, and an unknown error is breaker.Ignored:
// not evidence either way.
func Classify(err error) breaker.Outcome {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return breaker.Success
	}
	if errors.Is(err, driver.ErrBadConn) {
		return breaker.Failure
	}
	if o, ok := byCode(err); ok {
		return o
	}
	if broken(err) {
		return breaker.Failure
	}
	return breaker.Ignored
}

// broken reports whether err concerns the connection, not the database.
func broken(err error) bool {
	for _, target := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded} {
		if errors.Is(err, target) {
			return true
		}
	}
	var ne net.Error // context.DeadlineExceeded and the system's errors too
	return errors.As(err, &ne) || strings.HasSuffix(err.Error(), mysqlInvalidConn)
}

// mysqlInvalidConn is the only error of the MySQL driver when a connection
// breaks during an operation.
const mysqlInvalidConn = "invalid connection"

// byCode looks for a code of a known database.
func byCode(err error) (breaker.Outcome, bool) {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		if s := state.SQLState(); len(s) == 5 {
			return PostgreSQL(s), true
		}
	}
	for e := range tree(err) {
		if n, ok := mysqlNumber(e); ok {
			return MySQL(n), true
		}
		if n, ok := sqliteCode(e); ok {
			return SQLite(n), true
		}
	}
	return breaker.Ignored, false
}

// tree yields err and everything that it wraps.
func tree(err error) func(yield func(error) bool) {
	var walk func(error, func(error) bool) bool
	walk = func(err error, yield func(error) bool) bool {
		if err == nil {
			return true
		}
		if !yield(err) {
			return false
		}
		switch u := err.(type) { //nolint:errorlint // this is the walk itself
		case interface{ Unwrap() error }:
			return walk(u.Unwrap(), yield)
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if !walk(e, yield) {
					return false
				}
			}
		}
		return true
	}
	return func(yield func(error) bool) { walk(err, yield) }
}

// mysqlNumber returns the number in a *mysql.MySQLError, which has it in a
// field without a method.
func mysqlNumber(err error) (int, bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct || v.Type().Name() != "MySQLError" {
		return 0, false
	}
	return whole(v.FieldByName("Number"))
}

// sqliteCode returns the result code in an error of a package with sqlite in
// its path: a method Code or a field Code, depending on the driver.
func sqliteCode(err error) (int, bool) {
	v := reflect.ValueOf(err)
	to := reflect.Indirect(v) // not valid for a nil pointer
	if !to.IsValid() || !strings.Contains(to.Type().PkgPath(), "sqlite") {
		return 0, false
	}
	if m := v.MethodByName("Code"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
		return whole(m.Call(nil)[0])
	}
	if to.Kind() == reflect.Struct {
		return whole(to.FieldByName("Code"))
	}
	return 0, false
}

// whole returns the integer in v, if there is one.
func whole(v reflect.Value) (int, bool) {
	switch {
	case v.IsValid() && v.CanInt():
		return int(v.Int()), true
	case v.IsValid() && v.CanUint():
		return int(v.Uint()), true
	}
	return 0, false
}
