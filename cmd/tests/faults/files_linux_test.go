package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// If replies cannot be written, programs say so in time and nothing they
// requested is done; orders of a shell, which waits for no reply, still are.
func TestReplyCannotBeWritten(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to break a disk")
	for _, tt := range []struct {
		name, disk string
		breakIt    func(t *testing.T, dir string) (mend func())
	}{
		{"full disk", "size=64k", fill},
		{"no more files", "nr_inodes=3", moreFiles}, // the folder, the pipe and the lock of the reply
		{"read-only folder", "size=64k", readOnly},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t, tt.disk)
			p := at(shortTemp(t), "foo", "bar")
			p.In, p.Out = filepath.Join(disk, "o.in"), filepath.Join(disk, "o.out")
			o := start(t, p)
			mend := tt.breakIt(t, disk)
			refused(t, 1, o.fifo("force_open", "foo"), "no answer", "is alive", "nothing was ordered")
			refused(t, 3, o.viaPipe("open", "foo"), "no answer")
			o.wants("foo", "closed")
			put(t, o.In, "open bar\n")
			eventually(t, "the shell's order is done", func() bool { return o.state("bar") == "open" })
			done(t, o.viaSocket("close", "bar")...) // the other endpoint works
			mend()
			done(t, o.fifo("force_open", "foo")...)
			o.wants("foo", "forced-open")
			o.ends()
			left, err := filepath.Glob(filepath.Join(disk, ".*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// moreFiles makes room for more files on a disk.
func moreFiles(t *testing.T, disk string) func() {
	return func() { must(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT, "nr_inodes=100")) }
}

// The reply can no longer be written when the order has been carried out: its
// sender must not be told that nothing was done.
func TestReplyCannotBeWrittenAnyMore(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "nr_inodes=4") // the folder, the pipe, the lock of the reply, and one reply, which the next one would replace
	p := at(shortTemp(t), "foo")
	p.In, p.Out = filepath.Join(disk, "o.in"), filepath.Join(disk, "o.out")
	o := start(t, p)
	refused(t, 1, o.fifo("force_open", "foo"), "no answer", "the order was sent and may yet be carried out")
	o.wants("foo", "forced-open")
	o.ends()
}

// An audit log that cannot be written does not prevent an order, and the
// order's sender is notified; when it can be written again, the log shows what
// is missing.
func TestAuditCannotBeWritten(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to break a disk")
	for _, tt := range []struct {
		name    string
		early   bool // before the owner starts: it would go on writing to the open file
		breakIt func(t *testing.T, dir string) (mend func())
	}{
		{"full disk", false, fill},
		{"read-only folder", true, readOnly},
		{"a folder in its place", false, func(t *testing.T, dir string) func() {
			return replace(t, dir, func(path string) error { return os.Mkdir(path, 0o700) })
		}},
		{"a pipe in its place", false, func(t *testing.T, dir string) func() {
			return replace(t, dir, func(path string) error { return syscall.Mkfifo(path, 0o600) })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t, "size=64k")
			p := at(shortTemp(t), "foo")
			p.Audit = filepath.Join(disk, "audit")
			var mend func()
			if tt.early {
				mend = tt.breakIt(t, disk)
			}
			o := start(t, p)
			if !tt.early {
				done(t, o.viaSocket("open", "foo")...)
				mend = tt.breakIt(t, disk)
			}
			orders := 0
			for received := false; !received; orders++ { // the last block may have room for some lines
				verb, state := "open", "open"
				if orders%2 == 0 {
					verb, state = "close", "closed"
				}
				r := run(t, o.viaSocket(verb, "foo")...)
				o.wants("foo", state)
				received = strings.Contains(r.errOut, "done, but not recorded: audit log "+o.Audit) && strings.Count(r.errOut, "\n") == 1
				if r.code != 0 || orders > 50 {
					t.Fatalf("%s: exit %d\n%s%s", verb, r.code, r.out, r.errOut)
				}
			}
			mend()
			done(t, o.viaSocket("half-open", "foo")...)
			text := done(t, "switchgear", "audit", "verify", o.Audit)
			_, report := o.recorded()
			if !tt.early {
				orders++
			}
			// Each order is preceded by its dry run.
			if report.Missed == 0 || report.Entries+int(report.Missed) != 2*orders+2 || !strings.Contains(text, fmt.Sprintf("%d orders could not be written", report.Missed)) {
				t.Errorf("after %d orders and one: %+v\n%s", orders, report, text)
			}
			o.ends()
		})
	}
}

// replace puts something else in the log's place until the returned function
// is called.
func replace(t *testing.T, dir string, put func(path string) error) (mend func()) {
	t.Helper()
	path := filepath.Join(dir, "audit")
	must(t, os.Rename(path, path+".away"))
	must(t, put(path))
	return func() { must(t, errors.Join(os.Remove(path), os.Rename(path+".away", path))) }
}

// A disk that hangs, such as that of a file server that is gone: an order
// waits at most a second for its line in the audit log.
func TestAuditDiskHangs(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to freeze a disk")
	disk := shortTemp(t)
	image := filepath.Join(shortTemp(t), "disk")
	must(t, os.WriteFile(image, make([]byte, 8<<20), 0o600))
	needs(t, "mkfs.ext4", exec.Command("mkfs.ext4", "-q", image).Run())
	needs(t, "mount with a loop device", exec.Command("mount", "-o", "loop", image, disk).Run())
	unmountAtEnd(t, disk)

	p := at(shortTemp(t), "foo", "bar")
	p.Audit = filepath.Join(disk, "audit")
	o := start(t, p)
	done(t, o.viaSocket("open", "foo")...)
	must(t, freeze(disk, true))
	thawed := false
	thaw := func() {
		if !thawed {
			thawed = true
			if err := freeze(disk, false); err != nil {
				t.Error(err)
			}
		}
	}
	defer thaw()
	r := run(t, o.viaSocket("close", "foo")...)
	if r.code != 0 || r.took > bounded || !strings.Contains(r.errOut, "not written after 1s") {
		t.Errorf("exit %d after %s\n%s%s", r.code, r.took, r.out, r.errOut)
	}
	if out := run(t, o.fifo("open", "bar")...); out.code != 0 || out.took > bounded {
		t.Errorf("by the pipe: exit %d after %s\n%s%s", out.code, out.took, out.out, out.errOut)
	}
	if got := o.tell("call", "foo"); got != "ran" {
		t.Errorf("a call is %s while the disk hangs", got)
	}
	thaw()
	done(t, o.viaSocket("close", "bar")...)
	// What waited is written now, so nothing is missing: two dry runs, three
	// orders by socket and pipe before this one, and its own two.
	all, report := o.recorded()
	if report.Missed > 0 || len(all) != 7 {
		t.Errorf("%d lines, report %+v, want 7 and none missed", len(all), report)
	}
	o.ends()
}

// freeze makes every write to the disk wait, until it is unfrozen.
func freeze(dir string, on bool) error {
	flag := "-u"
	if on {
		flag = "-f"
	}
	if out, err := exec.Command("fsfreeze", flag, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("fsfreeze: %w: %s", err, out)
	}
	return nil
}

// What is not a pipe of the process is neither written to nor read.
func TestSomethingElseAtThePipesPlace(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to make files of another user")
	for _, tt := range []struct {
		name string
		make func(path string) error
		says string
	}{
		{"a plain file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, "want a named pipe"},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, "want a named pipe"},
		{"a link", func(path string) error { return os.Symlink(path+".away", path) }, "is a symbolic link"},
		{"a stranger's pipe", func(path string) error {
			return errors.Join(syscall.Mkfifo(path, 0o666), os.Chown(path, nobody, nobody))
		}, "belongs to user 65534"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := start(t, at(shortTemp(t), "foo"))
			must(t, os.Rename(o.In, o.In+".away"))
			must(t, tt.make(o.In))
			refused(t, 1, o.fifo("open", "foo"), o.In, tt.says)
			if tt.name != "a plain file" && tt.name != "a folder" { // which switchgear takes for no pipe at all
				r := run(t, "switchgear", "open", "foo", "-p", "pipe:"+o.In)
				if tt.name == "a stranger's pipe" { // root, who operates the processes of all users, cannot know whose it is
					if r.code != 3 || !strings.Contains(r.errOut, "no process reads the pipe") {
						t.Errorf("exit %d: %s%s", r.code, r.out, r.errOut)
					}
				} else if r.code != 1 || !strings.Contains(r.errOut, tt.says) {
					t.Errorf("exit %d: %s%s", r.code, r.out, r.errOut)
				}
			}
			o.wants("foo", "closed")
			must(t, os.Remove(o.In))
			eventually(t, "the pipe is made again", func() bool {
				fi, err := os.Lstat(o.In)
				return err == nil && fi.Mode().Type() == os.ModeNamedPipe
			})
			done(t, o.fifo("force_open", "foo")...)
			o.wants("foo", "forced-open")
			o.ends()
		})
	}
}

// What another user or a link puts at the reply's place is not read. A program
// waits for the process to replace it with its reply, within its patience, and
// then says what is there.
func TestSomethingElseAtTheReplysPlace(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to make files of another user")
	o := start(t, at(shortTemp(t), "foo"))
	pid := o.cmd.Process.Pid
	victim := filepath.Join(shortTemp(t), "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.WriteFile(calm(o), []byte("[pybreaker]\nsleep_delay = 30\n"), 0o600))
	for name, put := range map[string]func() error{
		"link": func() error { return os.Symlink(victim, o.Out) },
		"stranger": func() error {
			return errors.Join(os.WriteFile(o.Out, []byte("SUCCESS\nChanged `foo` state\n"), 0o666), os.Chown(o.Out, nobody, nobody))
		},
	} {
		_ = os.Remove(o.Out)
		must(t, put())
		stop(t, pid) // so that it cannot put its own there
		refused(t, 1, o.fifo("open", "foo"), "refused", o.Out, "did not replace it within 1.5s", "is stopped", "nothing was ordered")

		// A program that asks while the process is stopped gets its answer if
		// the process continues in time.
		answered := make(chan result, 1)
		go func() { answered <- finish(t, command(t.Context(), o.fifo("-c", calm(o), "status")...)) }()
		eventually(t, "the program has its turn", func() bool { return locked(t, o.In) })
		wake(t, pid)
		if r := <-answered; r.code != 0 || !strings.Contains(r.out, "closed") {
			t.Errorf("%s: exit %d, want 0: its own reply replaces what was there\n%s%s", name, r.code, r.out, r.errOut)
		}

		_ = os.Remove(o.Out)
		must(t, put())
		done(t, o.fifo("status")...)
		if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
			t.Errorf("%s: the link's target is %q, %v", name, text, err)
		}
		o.wants("foo", "closed")
	}
	o.ends()
}

// Another user can neither give orders nor query, even if folders and files
// are accessible by mistake.
func TestStranger(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to become another user")
	dir := shortTemp(t)
	o := start(t, at(dir, "foo"))
	must(t, errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(o.Socket), 0o755)))
	try := func(code int, words []string, says string) {
		t.Helper()
		ctx := t.Context()
		wantRefusal(t, finish(t, as(nobody, command(ctx, words...))), code, words, says)
	}
	try(1, o.fifo("open", "foo"), "permission denied")
	try(1, o.viaPipe("open", "foo"), "permission denied")
	try(3, o.viaSocket("open", "foo"), "the socket belongs to another user")

	must(t, errors.Join(os.Chmod(o.Socket, 0o666)))
	try(3, o.viaSocket("open", "foo"), "process does not answer")
	o.wants("foo", "closed")
	if _, err := os.Stat(o.Audit); err == nil {
		if all, _ := o.recorded(); len(all) > 0 {
			t.Errorf("carried out or refused were %+v", all)
		}
	}
	o.ends()
}

// Root operates the processes of other users; their traps must not work on it.
func TestRootOperatesAnothersProcess(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to run a process of another user's")
	dir := shortTemp(t)
	must(t, os.Chown(dir, nobody, nobody))
	o := startAs(t, at(dir, "foo"), as(nobody, exec.Command(filepath.Join(programs, "owner"))))
	done(t, o.fifo("force_open", "foo")...)
	o.wants("foo", "forced-open")
	done(t, o.viaSocket("release", "foo")...)
	o.wants("foo", "closed")

	// A third user's pipe in that place is not a way to this process.
	must(t, os.Rename(o.In, o.In+".away"))
	must(t, errors.Join(syscall.Mkfifo(o.In, 0o666), os.Chown(o.In, 65533, 65533)))
	refused(t, 1, o.fifo("open", "foo"), "belongs to user 65533", "who runs the process")
	must(t, errors.Join(os.Remove(o.In), os.Rename(o.In+".away", o.In)))
	done(t, o.fifo("close", "foo")...)
	o.ends()
}

// An owner that cannot have its socket or its pipe says why, and ends.
func TestNoPlaceForTheOwner(t *testing.T) {
	t.Parallel()
	needsRoot(t, "to mount disks")
	for _, tt := range []struct {
		name string
		make func(t *testing.T) place
		says string
	}{
		{"socket's folder read-only", func(t *testing.T) place {
			p := at(shortTemp(t))
			p.Runtime = shortTemp(t)
			readOnly(t, p.Runtime)
			return p
		}, "ops: listen: mkdir"},
		{"no file left for the socket", func(t *testing.T) place {
			p := at(shortTemp(t))
			p.Runtime = smallDisk(t, "nr_inodes=2")
			return p
		}, "no space left"},
		{"pipe's folder read-only", func(t *testing.T) place {
			p := at(shortTemp(t))
			dir := shortTemp(t)
			p.In, p.Out = dir+"/in", dir+"/out"
			readOnly(t, dir)
			return p
		}, "read-only file system"},
		{"pipe's folder a stranger's", func(t *testing.T) place {
			p := at(shortTemp(t))
			dir := shortTemp(t)
			must(t, os.Chown(dir, nobody, nobody))
			p.In, p.Out = dir+"/in", dir+"/out"
			return p
		}, "belongs to user 65534"},
		{"another process has the pipe", func(t *testing.T) place { return start(t, at(shortTemp(t))).place }, "the pipe is in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from := time.Now()
			o := begin(t, "owner", tt.make(t), exec.Command(filepath.Join(programs, "owner")))
			line := o.answer()
			_ = o.cmd.Wait()
			if !strings.Contains(line, tt.says) || o.cmd.ProcessState.ExitCode() != 1 || time.Since(from) > bounded {
				t.Errorf("it says %q, exit %d, after %s, want %q", line, o.cmd.ProcessState.ExitCode(), time.Since(from), tt.says)
			}
		})
	}
}
