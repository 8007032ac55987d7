package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Two hundred programs at once: each gets the answer to its own order, and
// each order is carried out once.
func TestTwoHundredPrograms(t *testing.T) {
	long(t)
	const programCount = 200
	names := make([]string, programCount)
	for i := range names {
		names[i] = fmt.Sprintf("b%03d", i)
	}
	for _, tt := range []struct {
		name  string
		order func(o *owner, i int) []string
		want  func(i int) string // in what it prints
		lines int                // in the audit log, for each order
	}{
		{
			"by the pipe",
			func(o *owner, i int) []string {
				if i%4 == 0 {
					return o.fifo("-c", calm(o), "status", names[i])
				}
				return o.fifo("-c", calm(o), "force_open", names[i], "--reason", "reason "+names[i])
			},
			func(i int) string {
				if i%4 == 0 {
					return "failures until open\n" + names[i] + "    closed "
				}
				return "Changed `" + names[i] + "` state\n"
			}, 1,
		},
		{
			"by the socket",
			func(o *owner, i int) []string {
				if i%4 == 0 {
					return o.viaSocket("explain", names[i], "--timeout=60s")
				}
				return o.viaSocket("force-open", names[i], "--reason", "reason "+names[i], "--for", "1h", "--timeout=60s")
			},
			func(i int) string {
				if i%4 == 0 {
					return names[i] + " is closed"
				}
				return "\n" + names[i] + "  closed  FORCED-OPEN"
			}, 2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := start(t, at(shortTemp(t), names...))
			must(t, os.WriteFile(calm(o), []byte("[pybreaker]\nsleep_delay = 30\n"), 0o600))
			goroutines := o.tell("goroutines")
			var wg sync.WaitGroup
			for i := range programCount {
				wg.Go(func() {
					words := tt.order(o, i)
					if r := run(t, words...); r.code != 0 || !strings.Contains(r.out, tt.want(i)) {
						t.Errorf("%q: exit %d, want %q\n%s%s", words, r.code, tt.want(i), r.out, r.errOut)
					}
				})
			}
			wg.Wait()
			all, _ := o.recorded()
			did := map[string]string{}
			for _, e := range all {
				if !e.Order.DryRun {
					did[e.Order.ID] += e.Order.Reason
				}
			}
			for i, name := range names {
				want, state := "reason "+name, "forced-open"
				if i%4 == 0 {
					want, state = "", "closed"
				}
				if did[name] != want {
					t.Errorf("carried out for %s was %q, want %q", name, did[name], want)
				}
				o.wants(name, state)
			}
			if want := programCount * 3 / 4 * tt.lines; len(all) != want {
				t.Errorf("%d lines in the audit log, want %d", len(all), want)
			}
			eventually(t, "as many goroutines as before", func() bool { return atMost(o.tell("goroutines"), goroutines) })
			o.ends()
		})
	}
}

func atMost(got, want string) bool {
	g, err1 := strconv.Atoi(got)
	w, err2 := strconv.Atoi(want)
	return err1 == nil && err2 == nil && g <= w
}

// A program that is stopped during its turn is named by the next one; when it
// is killed, it gives its turn back.
func TestProgramInItsTurn(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo"))
	stop(t, o.cmd.Process.Pid)
	first := command(t.Context(), o.fifo("force_open", "foo")...)
	must(t, first.Start())
	defer func() { _ = first.Process.Kill() }()
	eventually(t, "the first has its turn", func() bool { return locked(t, o.In) })
	stop(t, first.Process.Pid)
	wake(t, o.cmd.Process.Pid)
	refused(t, 1, o.fifo("status"), "another program waits for its answer", "nothing was sent")
	refused(t, 3, o.viaPipe("open", "foo"), "another program waits for its answer")
	o.wants("foo", "closed")
	must(t, first.Process.Kill())
	_ = first.Wait()
	done(t, o.fifo("status")...)
	done(t, o.fifo("force_open", "foo")...)
	o.wants("foo", "forced-open")
	o.ends()
}

// calm is a configuration whose programs do not mistake a busy machine for a
// process that is stuck.
func calm(o *owner) string { return filepath.Join(filepath.Dir(o.In), "calm.conf") }

// locked reports whether a program has its turn on the pipe.
func locked(t *testing.T, in string) bool {
	t.Helper()
	f, err := os.OpenFile(in, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// Programs are killed at random points. Each order is carried out once or not
// at all, and they leave nothing behind.
func TestProgramsKilled(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo"))
	done(t, o.fifo("status")...)
	goroutines := o.tell("goroutines")
	rng := rand.New(rand.NewPCG(1, 2))
	killed, whole := 0, map[string]bool{}
	for i := range 60 {
		reason := fmt.Sprint("order ", i)
		words := o.fifo("close", "foo", "--reason", reason)
		if i%2 == 1 {
			words = o.viaSocket("close", "foo", "--reason", reason)
		}
		cmd := command(t.Context(), words...)
		must(t, cmd.Start())
		timer := time.AfterFunc(time.Duration(rng.IntN(25_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		switch cmd.ProcessState.ExitCode() {
		case 0:
			whole[reason] = true
		case -1:
			killed++
		default:
			t.Errorf("%q: exit %d", words, cmd.ProcessState.ExitCode())
		}
	}
	done(t, o.fifo("force_open", "foo")...)
	o.wants("foo", "forced-open")
	all, _ := o.recorded()
	times := map[string]int{}
	for _, e := range all {
		if !e.Order.DryRun && e.Order.Reason != "" {
			times[e.Order.Reason]++
		}
	}
	for i := range 60 {
		reason := fmt.Sprint("order ", i)
		if n := times[reason]; n > 1 || n == 0 && whole[reason] {
			t.Errorf("%s was carried out %d times, answered %t", reason, n, whole[reason])
		}
	}
	if killed < 5 {
		t.Errorf("only %d of 60 were killed: the test tests nothing", killed)
	}
	t.Logf("%d of 60 programs killed, %d orders carried out", killed, len(times))
	eventually(t, "as many goroutines as before", func() bool { return atMost(o.tell("goroutines"), goroutines) })
	o.ends()
	left, err := filepath.Glob(filepath.Join(filepath.Dir(o.In), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The pipe is removed again and again while programs give orders. An order
// that was reported as done was done; one that fails says what is wrong.
func TestPipeRemovedAgainAndAgain(t *testing.T) {
	long(t)
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo"))
	answered := 0
	for i := range 6 {
		must(t, os.Remove(o.In))
		if i%3 == 0 { // by hand, and it is the owner's from then on
			must(t, syscall.Mkfifo(o.In, 0o600))
		}
		verb, state := "force_open", "forced-open"
		if i%2 == 1 {
			verb, state = "close", "closed"
		}
		eventually(t, "an order is answered", func() bool {
			words := o.fifo(verb, "foo")
			r := run(t, words...)
			if r.code == 0 {
				o.wants("foo", state)
				answered++
				return true
			}
			said := r.out + r.errOut
			if r.code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "No input pipe/file found at") && !strings.Contains(said, "no process reads the pipe") {
				t.Fatalf("%q: exit %d\n%s", words, r.code, said)
			}
			return false
		})
	}
	if all, _ := o.recorded(); len(all) != answered {
		t.Errorf("%d orders carried out, %d answered", len(all), answered)
	}
	o.ends()
}

// The owner is killed while orders come in. What was answered is in the audit
// log, the log verifies, and the next owner continues it.
func TestOwnerKilledAmidOrders(t *testing.T) {
	t.Parallel()
	p := at(shortTemp(t), "foo")
	answered := map[string]bool{}
	var mu sync.Mutex
	for round := range 6 {
		o := start(t, p)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					reason := fmt.Sprint(round, " ", i, " ", n)
					words := o.fifo("close", "foo", "--reason", reason)
					if i%2 == 1 {
						words = o.viaSocket("close", "foo", "--reason", reason)
					}
					r := run(t, words...)
					if r.code != 0 {
						if strings.Count(r.out+r.errOut, "\n") != 1 || r.took > bounded {
							t.Errorf("%q: exit %d after %s\n%s%s", words, r.code, r.took, r.out, r.errOut)
						}
						return
					}
					mu.Lock()
					answered[reason] = true
					mu.Unlock()
				}
			})
		}
		eventually(t, "five orders are answered", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(answered) >= 5*(round+1)
		})
		<-time.After(time.Duration(7*round) * time.Millisecond) // amid something else each time
		o.kill()
		wg.Wait()
	}
	o := start(t, p)
	done(t, o.fifo("close", "foo")...)
	all, report := o.recorded()
	if report.Missed > 0 {
		t.Errorf("%d orders are missing", report.Missed)
	}
	times := map[string]int{}
	for _, e := range all {
		if !e.Order.DryRun {
			times[e.Order.Reason]++
		}
	}
	for reason := range answered {
		if times[reason] != 1 {
			t.Errorf("order %s was answered and stands %d times in the log", reason, times[reason])
		}
	}
	t.Logf("%d orders answered, %d lines, %d torn", len(answered), report.Entries, len(report.Torn))
	done(t, "switchgear", "audit", "verify", o.Audit)
	o.ends()
}

// A program that follows the events and reads none, because it is stopped,
// costs the owner nothing that grows; when it continues, it learns how many
// events it missed.
func TestFollowerThatNeverReads(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo", starter))
	goroutines, before := o.tell("goroutines"), o.tell("heap")
	cmd, out, _ := o.follow()
	from := time.Now()
	stop(t, cmd.Process.Pid)
	for range 20 {
		o.tell("turn", "foo", "5000")
		done(t, o.fifo("status", "foo")...)
		if took := run(t, o.viaSocket("status", "foo")...).took; took > bounded {
			t.Errorf("a look took %s beside a follower that reads nothing", took)
		}
	}
	was, _ := strconv.Atoi(before)
	if is, err := strconv.Atoi(o.tell("heap")); err != nil || is > was+8<<20 {
		t.Errorf("the owner's heap went from %d to %d KB, %v", was>>10, is>>10, err)
	}
	slow := time.Since(from) > 8*time.Second // a follower that takes nothing for 10 s is cut off
	wake(t, cmd.Process.Pid)
	if !slow {
		hear(t, out, " events were missed")
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "as many goroutines as before", func() bool { return atMost(o.tell("goroutines"), goroutines) })
	o.ends()
}

// A half-sent request delays no other, and ends with its sender.
func TestHalfARequest(t *testing.T) {
	t.Parallel()
	o := start(t, at(shortTemp(t), "foo"))
	goroutines := o.tell("goroutines")
	senders := make([]*exec.Cmd, 50)
	for i := range senders {
		senders[i] = exec.Command("sh", "-c", `exec 3>"$1"; printf 'force_open f' >&3; exec sleep 60`, "sh", o.In)
		must(t, senders[i].Start())
	}
	<-time.After(200 * time.Millisecond)
	done(t, o.fifo("half_open", "foo")...)
	done(t, o.viaSocket("status")...)
	for _, cmd := range senders {
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	done(t, o.fifo("status", "foo")...)
	o.wants("foo", "half-open")
	eventually(t, "as many goroutines as before", func() bool { return atMost(o.tell("goroutines"), goroutines) })
	o.ends()
}
