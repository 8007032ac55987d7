//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const openFlags = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// pipe is the server's side of a named pipe.
//
// The read end stays open as long as the pipe is served, so that no writer ever
// meets a pipe without a reader (ENXIO, EPIPE) and nothing written is lost
// between two of them. But a read end alone reports the end of the file again
// and again once there is no writer, and waiting for that to change would be
// polling. So a write end of our own is held too: then read(2) sleeps until
// there is input.
//
// If it were held all the time, it would hide that the last writer has gone,
// which ends the line of a writer that sent no newline (printf status > pipe). So
// it is released while an unfinished line waits, and only then: read(2) then
// sleeps while there is any other writer, and reports the end of the file when
// the last one has gone. The unfinished line is run, and the write end is held
// again.
type pipe struct {
	path string
	r    *os.File
	w    *os.File // nil while let go
	info fs.FileInfo
}

// claim creates the pipe at path and opens it. A pipe that a dead process left
// is replaced, so that nothing sent to that process reaches this one. If reuse
// is true it is used as it is, because this process has been serving the path
// all along.
func claim(path string, reuse bool) (*pipe, error) {
	dir := filepath.Dir(path)
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makePipe(path)
	}
	if err != nil {
		return nil, err
	}
	if err := kindError(path, fi, fs.ModeNamedPipe, "named pipe", noOtherUser); err != nil {
		return nil, err
	}
	read, err := hasReader(path)
	switch {
	case err != nil:
		return nil, err
	case read:
		return nil, fmt.Errorf("%w: another process or server reads %s", ErrInUse, path)
	case reuse:
		return openPipe(path)
	}
	return makePipe(path)
}

// makePipe creates the pipe under another name and moves it to path once it is
// open, so that it has a reader as soon as it can be found.
func makePipe(path string) (*pipe, error) {
	tmp := tempPath(path)
	if err := syscall.Mkfifo(tmp, 0o600); err != nil {
		return nil, &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	p, err := openPipe(tmp)
	if err == nil {
		p.path = path
		if err = os.Rename(tmp, path); err == nil {
			return p, nil
		}
		p.close()
	}
	os.Remove(tmp)
	return nil, err
}

func openPipe(path string) (*pipe, error) {
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	r, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	p := &pipe{path: path, r: r}
	if p.info, err = r.Stat(); err == nil {
		err = kindError(path, p.info, fs.ModeNamedPipe, "named pipe", noOtherUser)
	}
	if err == nil {
		err = p.hold()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// hold opens a write end of our own. It fails if path is another file now.
func (p *pipe) hold() error {
	if p.w != nil {
		return nil
	}
	w, err := os.OpenFile(p.path, os.O_WRONLY|openFlags, 0)
	if err != nil {
		return err
	}
	if fi, err := w.Stat(); err != nil || !os.SameFile(fi, p.info) {
		w.Close()
		return fmt.Errorf("%s was replaced", p.path)
	}
	p.w = w
	return nil
}

func (p *pipe) letGo() {
	if p.w != nil {
		p.w.Close()
		p.w = nil
	}
}

// inPlace reports whether path is still this pipe.
func (p *pipe) inPlace() bool {
	fi, err := os.Lstat(p.path)
	return err == nil && os.SameFile(fi, p.info)
}

func (p *pipe) close() {
	p.letGo()
	p.r.Close()
}

// hasReader reports whether a process has the pipe open for reading.
func hasReader(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|openFlags, 0)
	if errors.Is(err, syscall.ENXIO) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}
