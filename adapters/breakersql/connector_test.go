package breakersql_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// A rejection must not look like a bad connection: database/sql would try
// again, on new connections.
func TestOpen(t *testing.T) {
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			f := &fake{rows: 1}
			b := breaker.New("db", breaker.Settings{ResetTimeout: 42 * time.Second})
			db := openFake(t, f, b)
			if err := db.Ping(); err != nil { // one connection waits in the pool
				t.Fatal(err)
			}
			b.Open(breaker.Order{})
			before := f.asked()
			err := op(t.Context(), db)
			if !errors.Is(err, breaker.ErrOpen) || errors.Is(err, driver.ErrBadConn) {
				t.Errorf("error %v, want a rejection and no driver.ErrBadConn", err)
			}
			var open *breaker.OpenError
			if !errors.As(err, &open) || open.RetryAfter() <= 41*time.Second {
				t.Errorf("the rejection does not say when to retry: %v", err)
			}
			housekeeping := strings.NewReplacer("reset", "", "valid", "", " ", "")
			if got := housekeeping.Replace(strings.TrimPrefix(f.asked(), before)); got != "" {
				t.Errorf("the database was asked to %s", got)
			}
			if n := f.count("connect"); n != 1 {
				t.Errorf("%d connections, want the one that was there", n)
			}
		})
	}
}

func TestDriversByName(t *testing.T) {
	for name, d := range map[string]driver.Driver{"plain": plainDriver{&fake{}}, "context": contextDriver{plainDriver{&fake{}}}} {
		t.Run(name, func(t *testing.T) {
			b := breaker.New("db", breaker.Settings{})
			guarded := breakersql.Driver(d, b)
			_, want := d.(driver.DriverContext)
			if _, got := guarded.(driver.DriverContext); got != want {
				t.Errorf("guarded, a driver has DriverContext: %t, want %t", got, want)
			}
			sql.Register("test-"+name, d)
			sql.Register("test-guarded-"+name, guarded)
			byName, err := sql.Open("test-guarded-"+name, "")
			if err != nil {
				t.Fatal(err)
			}
			defer byName.Close()
			opened, err := breakersql.Open("test-"+name, "", b)
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			if _, ok := opened.Driver().(*fake); !ok && opened.Driver() != d {
				t.Errorf("the driver is %T, want %T: programs tell the database by it", opened.Driver(), d)
			}
			for _, db := range []*sql.DB{byName, opened} {
				if err := db.Ping(); err != nil {
					t.Error(err)
				}
				b.Open(breaker.Order{})
				if err := db.Ping(); !errors.Is(err, breaker.ErrOpen) {
					t.Errorf("error %v, want a rejection", err)
				}
				b.Close(breaker.Order{})
			}
		})
	}
	if _, err := breakersql.Open("test-no-such", "", breaker.New("db", breaker.Settings{})); err == nil {
		t.Error("want an error for an unknown driver's name")
	}
	if _, err := breakersql.Open("test-context", "bad", breaker.New("db", breaker.Settings{})); err == nil {
		t.Error("want an error for a bad data source")
	}
	if _, err := sql.Open("test-guarded-context", "bad"); err == nil {
		t.Error("want an error for a bad data source")
	}
}

func TestConnectorsAreClosed(t *testing.T) {
	f := &fake{}
	b := breaker.New("db", breaker.Settings{})
	sql.OpenDB(breakersql.Connector(f, b)).Close()
	if f.count("close") != 1 {
		t.Error("a connector that can be closed was not")
	}
	if _, ok := breakersql.Connector(struct{ driver.Connector }{f}, b).(io.Closer); ok {
		t.Error("a connector that cannot be closed says that it can")
	}
}

func TestRaw(t *testing.T) {
	db := openFake(t, &fake{}, breaker.New("db", breaker.Settings{}))
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.Raw(func(driverConn any) error {
		if _, ok := breakersql.Raw(driverConn).(*fakeConn); !ok {
			t.Errorf("Raw is a %T, want the driver's own connection", breakersql.Raw(driverConn))
		}
		return nil
	})
	if got := breakersql.Raw(42); got != 42 {
		t.Errorf("Raw of what is not guarded is %v", got)
	}
}

func TestNothingToGuard(t *testing.T) {
	b := breaker.New("db", breaker.Settings{})
	for name, f := range map[string]func(){
		"no connector": func() { breakersql.Connector(nil, b) },
		"no breaker":   func() { breakersql.Connector(&fake{}, nil) },
		"no driver":    func() { breakersql.Driver(nil, b) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p, _ := recover().(string); !strings.HasPrefix(p, "breakersql: ") {
					t.Errorf("panic %q, want one line that begins with the package", p)
				}
			}()
			f()
		})
	}
}
