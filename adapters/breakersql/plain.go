package breakersql

import (
	"context"
	"database/sql/driver"
	"errors"
)

// plainExecer and plainQueryer are for connections that have Exec and Query
// only in their old form. They do what database/sql does for those.

type plainExecer struct{ driver.Conn }

func (p plainExecer) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return p.Conn.(driver.Execer).Exec(query, values) //nolint:staticcheck // deprecated, and still served
}

type plainQueryer struct{ driver.Conn }

func (p plainQueryer) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return p.Conn.(driver.Queryer).Query(query, values) //nolint:staticcheck // deprecated, and still served
}

func plainValues(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		if a.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = a.Value
	}
	return values, ctx.Err()
}
