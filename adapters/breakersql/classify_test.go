package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// MySQLError looks like the MySQL driver's; the real one is in sqltest, with
// the real ones of PostgreSQL and SQLite.
type MySQLError struct{ Number uint16 }

func (e *MySQLError) Error() string { return fmt.Sprint("Error ", e.Number) }

// pathError is a pointer type, to see that nil ones do no harm.
type pathError struct{}

func (*pathError) Error() string { return "nothing" }

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		err  error
		want breaker.Outcome
	}{
		{nil, breaker.Success},
		{sql.ErrNoRows, breaker.Success},
		{fmt.Errorf("user 7: %w", sql.ErrNoRows), breaker.Success},
		{driver.ErrBadConn, breaker.Failure},
		{fmt.Errorf("pool: %w", driver.ErrBadConn), breaker.Failure},
		{io.EOF, breaker.Failure},
		{io.ErrUnexpectedEOF, breaker.Failure},
		{net.ErrClosed, breaker.Failure},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, breaker.Failure},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, breaker.Failure},
		{syscall.ECONNRESET, breaker.Failure},
		{context.DeadlineExceeded, breaker.Failure},
		{os.ErrDeadlineExceeded, breaker.Failure},
		{errors.New("invalid connection"), breaker.Failure},
		{errors.New("of a kind unknown"), breaker.Ignored},
		{errors.New("sql: expected 2 arguments, got 1"), breaker.Ignored},
		{(*pathError)(nil), breaker.Ignored},
		{stateError("23505"), breaker.Success},
		{stateError("08006"), breaker.Failure},
		{stateError("nonsense"), breaker.Ignored},
		{fmt.Errorf("insert: %w", stateError("57P01")), breaker.Failure},
		{errors.Join(errors.New("host one"), stateError("57P03")), breaker.Failure},
		{&MySQLError{1062}, breaker.Success},
		{&MySQLError{1040}, breaker.Failure},
		{fmt.Errorf("insert: %w", &MySQLError{1040}), breaker.Failure},
		{errors.Join(errors.New("host one"), &MySQLError{1053}), breaker.Failure},
		{&MySQLError{1317}, breaker.Ignored},
	} {
		if got := breakersql.Classify(test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}

func TestCodes(t *testing.T) {
	states := map[breaker.Outcome][]string{
		breaker.Success: {
			"00000", "02000", "22001", "22P02", "23502", "23503", "23505", "25006", "28P01", "28000", "3D000",
			"40001", "40P01", "42601", "42P01", "42501", "55P03", "P0001",
		},
		breaker.Failure: {
			"08000", "08001", "08006", "08P01", "53100", "53200", "53300", "53400",
			"57014", "57P01", "57P02", "57P03", "57P04", "58000", "58030", "XX000", "XX001",
		},
		breaker.Ignored: {"25P03", "57P05", "", "1", "123456"},
	}
	for want, all := range states {
		for _, state := range all {
			if got := breakersql.PostgreSQL(state); got != want {
				t.Errorf("SQLSTATE %q: %s, want %s", state, got, want)
			}
		}
	}
	numbers := map[breaker.Outcome][]int{
		breaker.Success: {0, 1022, 1044, 1045, 1048, 1049, 1062, 1064, 1146, 1153, 1205, 1213, 1216, 1451, 1452, 1290, 1406, 1644, 3572, 3819},
		breaker.Failure: {1021, 1037, 1040, 1041, 1042, 1043, 1047, 1053, 1077, 1080, 1129, 1152, 1158, 1161, 1203, 1226, 2003, 2006, 2013, 3024, 3032, 3168},
		breaker.Ignored: {1105, 1317, 1927, 4031},
	}
	for want, all := range numbers {
		for _, n := range all {
			if got := breakersql.MySQL(n); got != want {
				t.Errorf("MySQL %d: %s, want %s", n, got, want)
			}
		}
	}
	codes := map[breaker.Outcome][]int{
		breaker.Success: {0, 1, 3, 5, 6, 8, 12, 17, 18, 19, 20, 21, 23, 25, 100, 101, 261, 517, 1555, 2067},
		breaker.Failure: {2, 7, 10, 11, 13, 14, 15, 26, 266, 522, 3338},
		breaker.Ignored: {9},
	}
	for want, all := range codes {
		for _, n := range all {
			if got := breakersql.SQLite(n); got != want {
				t.Errorf("SQLite %d: %s, want %s", n, got, want)
			}
		}
	}
}
