//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Values of also that are not user ids: who is trusted in addition to this user
// and root.
const (
	noOtherUser = -1
	anyUser     = -2
)

// trustedOwner reports whether the file belongs to this user, to root, or to
// also.
func trustedOwner(fi fs.FileInfo, also int) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && (int(st.Uid) == os.Geteuid() || st.Uid == 0 || int(st.Uid) == also || also == anyUser)
}

func ownerError(path string, fi fs.FileInfo, also int) error {
	uid := "unknown"
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		uid = fmt.Sprint(st.Uid)
	}
	want := fmt.Sprintf("user %d or root", os.Geteuid())
	if also >= 0 {
		want += fmt.Sprintf(", or %d, who runs the process", also)
	}
	return fmt.Errorf("%w: %s belongs to user %s, want %s", ErrUnsafe, path, uid, want)
}

// kindError returns nil if the file at path has the wanted type and a trusted
// owner.
func kindError(path string, fi fs.FileInfo, want fs.FileMode, what string, also int) error {
	switch got := fi.Mode().Type(); {
	case got == fs.ModeSymlink:
		return fmt.Errorf("%w: %s is a symbolic link, want the %s itself", ErrUnsafe, path, what)
	case got != want:
		return fmt.Errorf("%w: %s has mode %s, want a %s", ErrUnsafe, path, fi.Mode(), what)
	case !trustedOwner(fi, also):
		return ownerError(path, fi, also)
	}
	return nil
}

// checkFolder creates the directory if it is missing, and refuses one in which
// other users could replace our files.
func checkFolder(dir string) error {
	link, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeFolder(dir); err == nil {
			link, err = os.Lstat(dir)
		}
	}
	if err != nil {
		return err
	}
	fi, err := os.Stat(dir)
	switch {
	case !trustedOwner(link, noOtherUser): // root's /var/run may be a link, a stranger's /tmp/breaker may not
		return ownerError(dir, link, noOtherUser)
	case err != nil:
		return err
	case !fi.IsDir():
		return fmt.Errorf("%w: %s is not a directory", ErrUnsafe, dir)
	case !trustedOwner(fi, noOtherUser):
		return ownerError(dir, fi, noOtherUser)
	case fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%w: %s is world-writable, want mode 0700 or the sticky bit", ErrUnsafe, dir)
	}
	return nil
}

func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700) // the umask may have removed even our own bits
}

// lockFolder keeps other servers from creating or taking over a pipe in dir
// until unlock is called. The lock is held for microseconds, and the kernel
// releases it if its holder dies.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for limit := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		err = flock(f)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(limit) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
}

// flock takes the lock on f, or returns EWOULDBLOCK at once. The lock ends when
// f is closed or the process is killed.
func flock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	return errors.Join(err, lockErr)
}

// lockReply keeps other servers from writing to the reply at path until
// release is called: a client of one of them would read the other's answer. The
// lock is on a file next to it, because each reply is a new file. It ends with
// the process, and a lock file without a lock does no harm.
func lockReply(path string) (release func() error, err error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|openFlags, 0o600)
		if err != nil {
			return nil, err
		}
		held, err := f.Stat()
		if err == nil {
			err = kindError(name, held, 0, "plain file", noOtherUser)
		}
		if err == nil {
			err = flock(f)
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w: another server writes its replies to %s, want a path for each, such as one with {pid}", ErrInUse, path)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Lstat(name); err == nil && os.SameFile(now, held) {
			return func() error { defer f.Close(); return removeIfSame(name, held) }, nil
		}
		f.Close() // its holder removed it meanwhile
	}
}

// claimOutput reserves the reply's path for this server until release is called.
// It refuses a path with anything but a plain file of ours, and removes a reply
// that an earlier process left, so that no client takes it for an answer of this
// one.
func claimOutput(path string) (release func() error, err error) {
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return lockReply(path)
	case err != nil:
		return nil, err
	}
	if err := kindError(path, fi, 0, "plain file", noOtherUser); err != nil {
		return nil, err
	}
	if release, err = lockReply(path); err != nil {
		return nil, err
	}
	if err := removeIfSame(path, fi); err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}

// writeReply replaces the file at path at once: a reader finds the previous file
// or this one, never a part. A link at path is replaced, not followed.
func writeReply(path string, text []byte) (fs.FileInfo, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	fi, err := fill(f, text)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	return fi, nil
}

func fill(f *os.File, text []byte) (fs.FileInfo, error) {
	defer f.Close()
	if err := f.Chmod(0o600); err != nil { // the umask may have removed even our own bits
		return nil, err
	}
	if _, err := f.Write(text); err != nil {
		return nil, err
	}
	return f.Stat()
}

// removeIfSame removes path if it is still the file fi.
func removeIfSame(path string, fi fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil || fi == nil || !os.SameFile(now, fi) {
		return nil // not ours any more
	}
	return os.Remove(path)
}

// tempPath returns a name in path's directory that cannot be guessed.
func tempPath(path string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%x", filepath.Base(path), rand.Uint64()))
}
