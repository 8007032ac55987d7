package breakersql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"

	"github.com/switchgear-go/switchgear/breaker"
)

// Option changes what Connector, Driver or Open returns.
type Option func(*guard)

// WithClassifier replaces Classify. f is called for each error that is not
// nil, on many goroutines at once, except if the caller has cancelled, which
// is breaker.Ignored anyway. A failure to connect that f calls Ignored is
// still a breaker.Failure, because having no connection is evidence enough. A
// Failure that f returns is still subject to the breaker's own exclusions.
func WithClassifier(f func(error) breaker.Outcome) Option {
	return func(g *guard) { g.classify = f }
}

// Open is sql.Open with the breaker in front of the driver. Like sql.Open, it
// makes no connection yet.
func Open(driverName, dataSource string, b *breaker.Breaker, opts ...Option) (*sql.DB, error) {
	db, err := sql.Open(driverName, dataSource) // there is no other way to a driver by its name
	if err != nil {
		return nil, err
	}
	d := db.Driver()
	if err := db.Close(); err != nil {
		return nil, err
	}
	c := driver.Connector(dsnConnector{dataSource, d})
	if dc, ok := d.(driver.DriverContext); ok {
		if c, err = dc.OpenConnector(dataSource); err != nil {
			return nil, err
		}
	}
	return sql.OpenDB(Connector(c, b, opts...)), nil
}

// Connector guards the connections of c, for sql.OpenDB. It panics if c or b
// is nil.
func Connector(c driver.Connector, b *breaker.Breaker, opts ...Option) driver.Connector {
	if c == nil {
		panic("breakersql: Connector got no connector")
	}
	return newGuard(b, opts).connector(c)
}

// Driver guards the connections of d, for sql.Register. It panics if d or b is
// nil.
func Driver(d driver.Driver, b *breaker.Breaker, opts ...Option) driver.Driver {
	if d == nil {
		panic("breakersql: Driver got no driver")
	}
	plain := guardedDriver{d, newGuard(b, opts)}
	if dc, ok := d.(driver.DriverContext); ok {
		return guardedDriverContext{plain, dc}
	}
	return plain
}

// Raw returns the driver's own connection behind the one that sql.Conn.Raw
// passes. A connection that is not guarded is returned as it is.
func Raw(driverConn any) any {
	if c, ok := driverConn.(interface{ raw() driver.Conn }); ok {
		return c.raw()
	}
	return driverConn
}

// guardedConnector returns the original Driver, because programs look at its
// type to identify the database.
type guardedConnector struct {
	driver.Connector
	g *guard
}

func (g *guard) connector(c driver.Connector) driver.Connector {
	guarded := guardedConnector{c, g}
	if closer, ok := c.(io.Closer); ok {
		return struct {
			guardedConnector
			io.Closer
		}{guarded, closer}
	}
	return guarded
}

func (c guardedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	call, err := c.g.begin(ctx, nil, connecting)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	conn, err := c.Connector.Connect(ctx)
	return c.g.conn(conn), call.end(err)
}

type guardedDriver struct {
	d driver.Driver
	g *guard
}

func (d guardedDriver) Open(dataSource string) (driver.Conn, error) {
	return guardedConnector{dsnConnector{dataSource, d.d}, d.g}.Connect(context.Background())
}

type guardedDriverContext struct {
	guardedDriver
	dc driver.DriverContext
}

func (d guardedDriverContext) OpenConnector(dataSource string) (driver.Connector, error) {
	c, err := d.dc.OpenConnector(dataSource)
	if err != nil {
		return nil, err
	}
	return d.g.connector(c), nil
}

// dsnConnector is the connector for a driver that has none.
type dsnConnector struct {
	dataSource string
	d          driver.Driver
}

func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.d.Open(c.dataSource) }
func (c dsnConnector) Driver() driver.Driver                        { return c.d }
