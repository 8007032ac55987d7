package demo

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// endpoints are the ways in which people can reach the running shop. One that
// this platform does not have, or that could not be opened, is nil.
type endpoints struct {
	dir       string // private, and removed at the end
	input     string
	output    string
	pipe      *fifo.Server
	plane     *ops.Plane
	socket    *ops.Server
	dashboard *http.Server
	url       string  // of the dashboard
	closed    []error // why an endpoint is not open
}

func openEndpoints(m *breaker.Manager) (*endpoints, error) {
	d := &endpoints{plane: ops.New(m, ops.Options{Service: "demo-shop", Authorize: onLoopback})}
	for _, open := range []func(*breaker.Manager) error{d.openPipe, d.openSocket} {
		if err := open(m); err != nil {
			d.closed = append(d.closed, err)
		}
	}
	if err := d.openDashboard(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *endpoints) openPipe(m *breaker.Manager) (err error) {
	if d.dir, err = os.MkdirTemp("", "switchgear-demo-"); err != nil {
		return fmt.Errorf("make a private folder: %w", err)
	}
	d.input, d.output = filepath.Join(d.dir, "in"), filepath.Join(d.dir, "out")
	d.pipe, err = fifo.Start(d.plane, fifo.Config{Input: d.input, Output: d.output})
	return err
}

func (d *endpoints) openSocket(*breaker.Manager) (err error) {
	d.socket, err = d.plane.Listen()
	return err
}

func (d *endpoints) openDashboard() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open the dashboard: %w", err)
	}
	d.url = "http://" + l.Addr().String() + "/"
	d.dashboard = &http.Server{Handler: d.plane.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = d.dashboard.Serve(l) }() // ends with close
	return nil
}

// onLoopback admits orders that were sent to the address that the demo
// printed, and not to another name that points here.
func onLoopback(r *http.Request, _ *ops.Order) error {
	host, _, err := net.SplitHostPort(r.Host)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("the demo accepts orders only at its loopback address, not at %s", r.Host)
	}
	return nil
}

func (d *endpoints) close() error {
	var errs []error
	if d.pipe != nil {
		errs = append(errs, d.pipe.Close())
	}
	if d.socket != nil {
		errs = append(errs, d.socket.Close())
	}
	if d.dashboard != nil {
		errs = append(errs, d.dashboard.Close())
	}
	errs = append(errs, d.plane.Close())
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}
