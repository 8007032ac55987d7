package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// follow starts a program that follows the events, waits until it does, and
// returns what it prints about all breakers except starter.
func (o *owner) follow() (cmd *exec.Cmd, out <-chan string, errOut *bufio.Reader) {
	o.t.Helper()
	cmd = command(o.t.Context(), o.viaSocket("watch")...)
	stdout, err := cmd.StdoutPipe()
	must(o.t, err)
	stderr, err := cmd.StderrPipe()
	must(o.t, err)
	must(o.t, cmd.Start())
	errOut = bufio.NewReader(stderr)
	if line, err := errOut.ReadString('\n'); !strings.Contains(line, "watching 1 process") {
		o.t.Fatal(line, err)
	}
	lines, warm := make(chan string, 1<<20), make(chan bool, 1<<20)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			if strings.Contains(scan.Text(), "  "+starter+"  ") {
				warm <- true
			} else {
				lines <- scan.Text()
			}
		}
	}()
	eventually(o.t, "it is followed", func() bool {
		o.tell("turn", starter, "1")
		return len(warm) > 0
	})
	return cmd, lines, errOut
}

// starter is the breaker whose events show that a follower follows.
const starter = "starter"

// hear waits for a line that has the words.
func hear(t *testing.T, lines <-chan string, words string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line, ok := <-lines:
			if strings.Contains(line, words) {
				return
			}
			if !ok {
				t.Fatalf("it ended without %q", words)
			}
		case <-limit:
			t.Fatalf("not within a minute: %q", words)
		}
	}
}

// A program whose process was killed says so, and does not wait for it.
func TestOwnerKilled(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo"))
	done(t, o.fifo("close", "foo")...)
	o.kill()
	gone := "its process has ended (there is no process " + o.pid + ")"
	refused(t, 1, o.fifo("force_open", "foo"), "no process reads the pipe "+o.In, gone)
	refused(t, 1, o.fifo("status"), gone)
	refused(t, 3, o.viaPipe("open", "foo"), "no process reads the pipe "+o.In, "its process has ended")
	refused(t, 3, o.viaPipe("status"), "its process has ended")
	refused(t, 3, o.viaSocket("open", "foo"), "the process is gone and left its socket")
	refused(t, 3, o.viaSocket("status"), "the process is gone and left its socket")

	// The next owner takes its place, and everything works again.
	o = start(t, o.place)
	done(t, o.fifo("force_open", "foo")...)
	o.wants("foo", "forced-open")
	o.ends()
}

// A program whose process is stopped says so in time. When it continues, the
// process must not carry out an order whose sender no longer waits.
func TestOwnerStopped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		command func(*owner, ...string) []string
		order   string
		code    int
		words   []string
	}{
		{"circuit_breaker_fifo", (*owner).fifo, "open", 1, []string{"is stopped", "nothing was ordered"}},
		{"switchgear by pipe", (*owner).viaPipe, "open", 3, []string{"no answer", "o.out"}},
		{"switchgear by socket", (*owner).viaSocket, "open", 3, []string{"no answer in time: it may be stopped"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := start(t, at(shortTemp(t), "foo", "bar"))
			stop(t, o.cmd.Process.Pid)
			refused(t, tt.code, tt.command(o, tt.order, "foo"), tt.words...)
			refused(t, tt.code, tt.command(o, "status"), tt.words[0])
			wake(t, o.cmd.Process.Pid)
			done(t, tt.command(o, tt.order, "bar")...)
			o.wants("bar", "open")
			o.wants("foo", "closed")
			all, _ := o.recorded()
			for _, e := range all { // a plan for foo may stand there
				if e.Order.ID == "foo" && !e.Order.DryRun {
					t.Errorf("carried out was %+v", e.Order)
				}
			}
			o.ends()
		})
	}
}

// A program gives up an order for a stopped process and says so. When the process
// continues, it works, and has not carried the order out twice.
func TestOrderGivenUp(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo", "bar"))
	c, err := ops.NewClient(o.Socket)
	must(t, err)
	defer c.Close()
	_, err = c.Order(t.Context(), ops.Order{ID: "bar", Verb: breaker.VerbOpen, Actor: "tess"})
	must(t, err) // now there is a connection
	stop(t, o.cmd.Process.Pid)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = c.Order(ctx, ops.Order{ID: "foo", Verb: breaker.VerbOpen, Actor: "tess"})
	if !errors.Is(err, ops.ErrUnreachable) || !strings.Contains(err.Error(), "may yet be carried out") {
		t.Errorf("got %v, want ErrUnreachable and what may have become of the order", err)
	}
	wake(t, o.cmd.Process.Pid)
	_, err = c.Order(t.Context(), ops.Order{ID: "bar", Verb: breaker.VerbClose, Actor: "tess"})
	must(t, err)
	o.ends()
	// Whether the process sees first that the order came or that it was given up is
	// chance.
	all, _ := o.recorded()
	done := 0
	for _, e := range all {
		if e.Order.ID == "foo" && e.Receipt != nil {
			done++
		}
	}
	if done > 1 {
		t.Errorf("the order was carried out %d times, want once at most", done)
	}
}

// A process that has the pipe open and never reads it, with room in the pipe
// and without.
func TestReaderThatNeverReads(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprint("full ", full), func(t *testing.T) {
			t.Parallel()
			o := begin(t, "mute", at(shortTemp(t)), exec.Command(filepath.Join(programs, "owner")))
			o.answer()
			if full {
				put(t, o.In, strings.Repeat("status\n", 65536/7)+"\n\n") // all that fits into a pipe
			}
			refused(t, 1, o.fifo("open", "foo"), "no answer", "(process "+o.pid+" is alive)", "nothing was ordered")
			refused(t, 3, o.viaPipe("open", "foo"), "no answer")
			refused(t, 3, o.viaPipe("status"), "no answer")
		})
	}
}

// A follower of the events of a process notices that it is killed. When it is
// stopped, nothing is lost.
func TestWatchedOwner(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo", starter))
	cmd, out, errOut := o.follow()
	o.tell("turn", "foo", "1")
	stop(t, o.cmd.Process.Pid)
	wake(t, o.cmd.Process.Pid)
	o.tell("turn", "foo", "1")
	for _, to := range []string{"OPEN", "closed", "OPEN", "closed"} {
		if line := <-out; !strings.Contains(line, "-> "+to) {
			t.Errorf("heard %q, want %s", line, to)
		}
	}
	o.kill()
	from := time.Now()
	line, _ := errOut.ReadString('\n')
	if !strings.Contains(line, "is lost") {
		t.Errorf("it says %q, want that the process is lost", line)
	}
	_ = cmd.Wait()
	if code, took := cmd.ProcessState.ExitCode(), time.Since(from); code != 3 || took > bounded {
		t.Errorf("exit %d after %s, want 3 within %s", code, took, bounded)
	}
}
