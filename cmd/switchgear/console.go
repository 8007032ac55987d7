package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func consoleCommand(g *globals) *cobra.Command {
	f := &fleetFlags{globals: g}
	var listen string
	var orders bool
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the screen of a fleet to a browser",
		Long: `Serve the screen of a fleet to a browser, directly from the store, until Ctrl-C:
every breaker of every process, zones side by side, the silent processes, and
orders with their receipts. Processes that belong to the fleet show it too, beside
their own page.

It listens on loopback, and accepts orders only with --orders. It does not know who
its users are, so it accepts orders on loopback only; elsewhere, mount the handler of
a process behind your login, see Options.Authorize.

See "switchgear fleet --help" for --redis, --group and --key-file.`,
		Example: `  switchgear console --redis redis://redis:6379 --group checkout
  switchgear console --redis redis://redis:6379 --group checkout --orders --key-file key`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(listen)
			if err != nil {
				return usage("--listen %s, want HOST:PORT, such as 127.0.0.1:8086", listen)
			}
			if ip := net.ParseIP(host); orders && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return usage("--orders at %s, want a loopback address: the console knows no users", listen)
			}
			return f.console(cmd, listen, orders)
		},
	}
	f.define(cmd.Flags())
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8086", "the `address` to serve at; port 0 takes a free one")
	cmd.Flags().BoolVar(&orders, "orders", false, "take orders")
	return cmd
}

// console serves until the command's context is done. The plane is one without
// breakers: it has the checks of hosts, origins and allowances.
func (f *fleetFlags) console(cmd *cobra.Command, listen string, orders bool) error {
	group, err := f.inStore()
	if err != nil {
		return err
	}
	defer group.Close()
	o := ops.Options{Service: "console"}
	if orders {
		o.Authorize = func(*http.Request, *ops.Order) error { return nil }
	}
	plane := ops.New(new(breaker.Manager), o)
	defer plane.Close()
	if _, err := plane.Attach("fleet", group.Handler(plane)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/{$}", http.RedirectHandler("/fleet/", http.StatusFound))
	mux.Handle("/", plane.Handler())
	l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", listen)
	if err != nil {
		return &codeError{exitUsage, fmt.Errorf("--listen: %w", err)}
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "http://%s/\n", l.Addr()); err != nil {
		l.Close()
		return err
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err = <-served:
	case <-cmd.Context().Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Second)
		defer cancel()
		err = s.Shutdown(ctx)
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
