//go:build linux

package breakerpgx_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchgear-go/switchgear/breaker"
)

// What a statement costs over the bare pool, and what a rejection costs.
func BenchmarkPool(b *testing.B) {
	s := newServer(b)
	p, guard := open(b, s, nil)
	ctx := context.Background()
	for _, pool := range []struct {
		name string
		pool interface {
			Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
			QueryRow(context.Context, string, ...any) pgx.Row
		}
	}{{"bare", p.Pool()}, {"guarded", p}} {
		b.Run("exec/"+pool.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pool.pool.Exec(ctx, "SELECT 1"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("row/"+pool.name, func(b *testing.B) {
			b.ReportAllocs()
			var n int
			for b.Loop() {
				if err := pool.pool.QueryRow(ctx, "SELECT 1").Scan(&n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	guard.ForceOpen(breaker.Order{})
	b.Run("rejected", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Exec(ctx, "SELECT 1"); err == nil {
				b.Fatal("not rejected")
			}
		}
	})
}
