package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// trouble is what is wrong with a dependency that is up. The zero value means
// nothing.
type trouble struct {
	hang   bool          // accept the call and never answer
	delay  time.Duration // answer that much later
	status int           // answer with this status, 0: 200
	tenant string        // only the calls about this tenant, "": all
}

// dependency is a real HTTP server that can be made to fail.
type dependency struct {
	url     string
	addr    string
	server  *http.Server // nil while it is stopped
	trouble atomic.Pointer[trouble]
}

// newDependency serves on a free port of loopback.
func newDependency() (*dependency, error) {
	d := &dependency{addr: "127.0.0.1:0"}
	d.trouble.Store(&trouble{})
	l, err := net.Listen("tcp", d.addr)
	if err != nil {
		return nil, fmt.Errorf("start a server on loopback: %w", err)
	}
	d.addr = l.Addr().String()
	d.url = "http://" + d.addr
	d.serve(l)
	return d, nil
}

func (d *dependency) serve(l net.Listener) {
	d.server = &http.Server{Handler: d, ReadHeaderTimeout: time.Second}
	go func(s *http.Server) { _ = s.Serve(l) }(d.server) // returns when stop closes it
}

// stop ends the server and its connections: the next call is refused.
func (d *dependency) stop() {
	if d.server != nil {
		_ = d.server.Close() // the clients notice what is left of the connections
		d.server = nil
	}
}

// start serves again on the same port. Another program's outgoing connection
// may be using it at the moment, so start retries until ctx is done.
func (d *dependency) start(ctx context.Context) error {
	for d.server == nil {
		l, err := net.Listen("tcp", d.addr)
		if err == nil {
			d.serve(l)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start the server on %s again: %w", d.addr, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// ServeHTTP answers as far as its trouble permits. The last part of the path
// is the tenant.
func (d *dependency) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := d.trouble.Load()
	if t.tenant != "" && !strings.HasSuffix(r.URL.Path, "/"+t.tenant) {
		t = &trouble{}
	}
	if t.hang {
		<-r.Context().Done() // until the client closes the connection or the server is stopped
		return
	}
	select {
	case <-time.After(t.delay):
	case <-r.Context().Done():
		return
	}
	if t.status != 0 {
		http.Error(w, http.StatusText(t.status), t.status)
		return
	}
	fmt.Fprintln(w, "ok")
}
