// Switchgear shows and operates the circuit breakers of running processes.
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
	// Writing to a pipe whose reader has gone must return an error, so that
	// the program can clean up, instead of killing it.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
