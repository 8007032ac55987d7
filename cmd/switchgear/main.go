// Switchgear sees and operates the circuit breakers of running processes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/fleetdemo"
)

func main() {
	if fleetdemo.Member() {
		return // this was a process of the demo's shop
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A closed pipe at the other end of our output is an error to be handled,
	// not a death that leaves things behind.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
