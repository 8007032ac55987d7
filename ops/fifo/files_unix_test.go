//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFault_Links(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim := dir + "/victim"
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.Symlink(victim, dir+"/link"))
	must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	must(t, os.Symlink(dir+"/fifo", dir+"/fifolink"))
	for _, c := range []Config{{Input: dir + "/in", Output: dir + "/link"}, {Input: dir + "/fifolink", Output: dir + "/out"}} {
		if _, err := Start(planeOf(t, nil), c); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%+v: %v, want ErrUnsafe", c, err)
		}
	}
	if isFifo(dir + "/in") {
		t.Error("a Start that failed left its pipe")
	}
	for _, c := range []Client{{Input: dir + "/fifolink", Output: dir + "/out"}} {
		if _, err := c.Status(t.Context(), ""); !errors.Is(err, ErrUnsafe) {
			t.Errorf("client: %v, want ErrUnsafe", err)
		}
	}

	// A link that appears later is replaced by the reply, not followed.
	_, c := serve(t, "foo")
	must(t, os.Symlink(victim, c.Output))
	if _, err := refProgram(c.Input, c.Output, "status\n"); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(victim); string(text) != "precious" {
		t.Errorf("the link's target was overwritten: %q", text)
	}
	// And a client does not read through a link.
	ref := startReference(t, t.TempDir(), time.Millisecond, "a")
	must(t, os.Symlink(victim, ref.out))
	impatient := ref.client()
	impatient.Patience = DefaultPatience // it waits in vain
	if _, err := impatient.Status(t.Context(), ""); !errors.Is(err, ErrUnsafe) {
		t.Errorf("client behind a link: %v, want ErrUnsafe", err)
	}
}

func TestFault_Modes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/made"
	p := startChild(t, dir) // its umask is 0
	if _, err := p.Status(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, p.Input: 0o600, p.Output: 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, fi.Mode(), err, want)
		}
	}
}

func TestFault_ForeignOwner(t *testing.T) {
	t.Parallel()
	open := t.TempDir() + "/open"
	must(t, errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777)))
	if _, err := Start(planeOf(t, nil), Config{Input: open + "/in", Output: open + "/out"}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "world-writable") {
		t.Errorf("a folder for all the world: %v", err)
	}
	must(t, os.Chmod(open, 0o777|fs.ModeSticky))
	s, err := Start(planeOf(t, nil), Config{Input: open + "/in", Output: open + "/out"})
	if err != nil {
		t.Fatalf("with the sticky bit: %v", err)
	}
	must(t, s.Close())

	if os.Geteuid() != 0 {
		t.Skip("needs root to make files of another user")
	}
	const nobody = 65534
	dir := t.TempDir()
	must(t, errors.Join(syscall.Mkfifo(dir+"/in", 0o666), os.Chown(dir+"/in", nobody, nobody)))
	must(t, errors.Join(os.WriteFile(dir+"/out", nil, 0o666), os.Chown(dir+"/out", nobody, nobody)))
	must(t, errors.Join(os.Mkdir(dir+"/theirs", 0o700), os.Chown(dir+"/theirs", nobody, nobody)))
	must(t, errors.Join(os.Symlink(open, dir+"/link"), os.Lchown(dir+"/link", nobody, nobody)))
	for _, c := range []Config{
		{Input: dir + "/in", Output: dir + "/out2"},
		{Input: dir + "/in2", Output: dir + "/out"},
		{Input: dir + "/theirs/in", Output: dir + "/out2"},
		{Input: dir + "/link/in", Output: dir + "/out2"},
	} {
		if _, err := Start(planeOf(t, nil), c); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("%+v: %v, want ErrUnsafe", c, err)
		}
	}
}

func TestFault_PlainFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/in", []byte("force_open foo\n"), 0o600))
	if _, err := Start(planeOf(t, nil), Config{Input: dir + "/in", Output: dir + "/out"}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "want a named pipe") {
		t.Errorf("got %v, want ErrUnsafe", err)
	}
}
