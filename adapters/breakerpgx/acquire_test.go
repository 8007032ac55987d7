//go:build linux

package breakerpgx_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/switchgear-go/switchgear/adapters/breakerpgx"
	"github.com/switchgear-go/switchgear/breaker"
)

// An acquired connection is guarded too, and may be released twice.
func TestConn(t *testing.T) {
	s := newServer(t)
	p, b := open(t, s, nil)
	err := p.AcquireFunc(t.Context(), func(c *breakerpgx.Conn) error {
		defer c.Release()
		if err := c.Ping(t.Context()); err != nil {
			return err
		}
		return pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
			return err
		})
	})
	if err == nil || b.State() != breaker.Open {
		t.Errorf("%v and the breaker is %s, want a broken connection and open", err, b.State())
	}
	allReturned(t, p)
}
