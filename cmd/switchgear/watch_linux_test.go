package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// Watch ends when its reader has gone, as in "switchgear watch | head -1": at
// the next event, and also without one.
func TestWatchEndsWithItsReader(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{0, 1} {
		for _, extra := range [][]string{nil, {"--json"}} {
			h := newHost(t)
			h.shop("shop")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := h.command(t.Context(), append(args("watch"), extra...)...)
			cmd.Stdout = w
			errs, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			remarks := linesOf(t, errs)
			remarks.await("watching 1 process")
			if lines == 1 {
				got := make(chan error, 1)
				go func() {
					_, err := bufio.NewReader(r).ReadString('\n')
					got <- err
				}()
				for received := false; !received; { // the stream may begin a little later
					h.ok("open", "search")
					select {
					case err := <-got:
						if received = true; err != nil {
							t.Fatal(err)
						}
					case <-time.After(100 * time.Millisecond):
					}
				}
			}
			r.Close()
			endsSoon(t, fmt.Sprintf("watch %q after %d lines", extra, lines), cmd)
			if remarks.rest(); remarks.saw("broken") || remarks.saw("EPIPE") {
				t.Errorf("it says:\n%s", remarks.text())
			}
		}
	}
}

func TestWatchPrintsEachChange(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, extra := range [][]string{nil, {"--json"}} {
		ctx, cancel := context.WithTimeout(t.Context(), tooLong)
		defer cancel()
		cmd := h.command(ctx, append([]string{"watch", "search"}, extra...)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		remarks := linesOf(t, errs)
		remarks.await("watching 1 process")
		events := linesOf(t, out)
		for !events.has("search") { // the stream may begin a little later
			h.ok("close", "payments") // not asked for
			h.ok("open", "search", "--reason", "a test")
		}
		line := events.await("search", "open", "tess", "a test")
		if extra != nil && !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
		if events.saw("payments") {
			t.Errorf("it showed payments, which was not requested")
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("Ctrl-C: %v, want exit 0", err)
		}
	}
}
