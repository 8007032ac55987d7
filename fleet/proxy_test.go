package fleet_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// proxy passes bytes between the members and their store, unless it is told to
// do worse.
type proxy struct {
	l       net.Listener
	to      string
	swallow atomic.Bool  // takes bytes and passes none on, as a partition does
	half    atomic.Bool  // passes on what members say, and no answers
	delay   atomic.Int64 // of each read, in nanoseconds
	conns   atomic.Int64
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Add(1)
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) serve(c net.Conn) {
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		c.Close()
		return
	}
	go p.pipe(up, c, &p.half)
	p.pipe(c, up, nil)
}

func (p *proxy) pipe(from, to net.Conn, also *atomic.Bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if d := p.delay.Load(); d > 0 {
			<-time.After(time.Duration(d))
		}
		if n > 0 && !p.swallow.Load() && (also == nil || !also.Load()) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
