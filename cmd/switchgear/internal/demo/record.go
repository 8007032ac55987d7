package demo

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/replay"
)

// record streams the calls of the demo to a new file. save ends that, and prints
// the command that replays it.
func record(m *breaker.Manager, c Config) (save func() error, err error) {
	f, err := os.OpenFile(c.Record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--record: %w; name another file with --record=FILE", err)
	}
	rec, err := replay.Record(m, replay.Options{Program: "demo", Keys: replay.KeysPlain})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rec.Stream(ctx, f) }()
	return func() error {
		stop()
		err := errors.Join(<-done, f.Close())
		rec.Close()
		if err != nil {
			return err
		}
		command, dir := program(ownName)
		if dir != "" {
			command = "cd " + quote(dir) + " && " + command
		}
		_, err = fmt.Fprintf(c.Out, "\nReplay it:\n  %[1]s replay %[2]s --verify\n  %[1]s replay %[2]s --set reset_timeout=2s --html replay.html\n", command, quote(c.Record))
		return err
	}, nil
}
