//go:build linux

package sqltest

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// gateway passes connections on to a server, until it ends all of them as a
// fail-over or a firewall does: it sends nothing more on them, and accepts new
// ones.
type gateway struct {
	net.Listener
	mu    sync.Mutex
	conns []*net.TCPConn
}

func newGateway(t *testing.T, server string) *gateway {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g := &gateway{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				c.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, c.(*net.TCPConn))
			g.mu.Unlock()
			go func() { _, _ = io.Copy(s, c); s.Close(); c.Close() }()
			go func() { _, _ = io.Copy(c, s) }()
		}
	}()
	return g
}

// cut ends the existing connections. What is sent on them is still accepted,
// so that the client reads the end, and not a reset.
func (g *gateway) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.CloseWrite()
	}
	g.conns = nil
}

func TestIdleConnectionsCutByAFailOver(t *testing.T) {
	const n = 20
	p := newPostgres(t)
	g := newGateway(t, fmt.Sprintf("127.0.0.1:%d", p.port))
	dsn := fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", g.Addr())
	b := breaker.New("db", breaker.Settings{})
	guarded, err := breakersql.Open("postgres", dsn, b)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	for name, db := range map[string]*sql.DB{"bare": bare, "guarded": guarded} {
		defer db.Close()
		db.SetMaxIdleConns(n)
		var conns []*sql.Conn
		for range n {
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.PingContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			c.Close()
		}
		g.cut()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := query(t.Context(), db); err != nil {
					t.Errorf("%s, after the fail-over: %v", name, err)
				}
			})
		}
		wg.Wait()
	}
	if b.State() != breaker.Closed || b.FailCount() != 0 {
		t.Errorf("%s with %d failures, want closed and none", b.State(), b.FailCount())
	}
}
