//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// exchange is one question and its answer.
//
// Clients take turns by a lock on the pipe itself: it needs no file beside it
// that could be left over or belong to another user, only users who may give
// orders can take it, and it ends when its holder dies. The lock is held by the same
// open file as the write end, so the write end stays open from before the
// question until after the answer. That also makes PyBreaker's manager wait in
// read(2) between the two lines, not in a sleep.
//
// Under the lock, a random word goes first. Its echo shows that the process
// listens, that everything before it has been answered, and that the reply file
// is the right one; so the next matching reply is the answer. PyBreaker's
// program does not take the lock. Replies to it are recognized by their content;
// one that matches is as good as ours, because it came after the echo.
type exchange struct {
	Client
	q    question
	pipe *os.File
	lock *os.File    // what the lock is on: pipe, or its folder
	echo fs.FileInfo // the reply file when the echo was in it
	sent bool        // the question is in the pipe
}

// ask performs a whole exchange.
func (c Client) ask(ctx context.Context, q question) (string, error) {
	x := &exchange{Client: c, q: q}
	defer x.close()
	for {
		if err := x.open(); err != nil {
			return "", err
		}
		if err := x.takeTurn(ctx); err != nil {
			return "", err
		}
		if x.current() {
			break
		}
		x.close() // the pipe was replaced while we waited
	}
	if err := x.hello(ctx); err != nil {
		return "", err
	}
	return x.answer(ctx)
}

func (x *exchange) close() {
	for _, f := range []*os.File{x.pipe, x.lock} {
		if f != nil {
			f.Close()
		}
	}
}

// open opens the pipe for writing, which fails at once if no process reads it.
func (x *exchange) open() error {
	fi, err := os.Lstat(x.Input)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("fifo: %w at %s%s", ErrNoPipe, x.Input, x.process())
	}
	if err != nil {
		return fmt.Errorf("fifo: %w", err)
	}
	if err := kindError(x.Input, fi, fs.ModeNamedPipe, "named pipe", x.trusted()); err != nil {
		return fmt.Errorf("fifo: %w", err)
	}
	x.pipe, err = os.OpenFile(x.Input, os.O_WRONLY|openFlags, 0)
	if errors.Is(err, syscall.ENXIO) {
		return fmt.Errorf("fifo: %w %s: its process has ended%s", ErrNoReader, x.Input, x.process())
	}
	if err == nil {
		if fi, err = x.pipe.Stat(); err == nil { // it may have been swapped in between
			err = kindError(x.Input, fi, fs.ModeNamedPipe, "named pipe", x.trusted())
		}
	}
	if err != nil {
		return fmt.Errorf("fifo: %w", err)
	}
	return nil
}

// takeTurn takes the lock. As long as replies change, other clients are being
// served, and it waits; after Patience without a change something is stuck.
func (x *exchange) takeTurn(ctx context.Context) error {
	x.lock = x.pipe
	moved := time.Now()
	size, at := stamp(x.Output)
	return x.poll(ctx, func() (bool, error) {
		err := flock(x.lock)
		if x.lock == x.pipe && cannotLock(err) {
			// The BSDs lock no pipes. Their clients take turns by folder.
			if x.lock, err = os.Open(filepath.Dir(x.Input)); err == nil {
				err = flock(x.lock)
			}
		}
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return false, fmt.Errorf("fifo: lock %s: %w", x.lock.Name(), err)
		}
		if newSize, newAt := stamp(x.Output); newSize != size || newAt != at {
			moved, size, at = time.Now(), newSize, newAt
		}
		if time.Since(moved) > x.Patience {
			return false, fmt.Errorf("fifo: %w: another program waits for its answer on %s, and nothing has moved for %s%s; nothing was sent",
				ErrNoAnswer, x.Input, x.Patience, x.process())
		}
		return false, nil
	})
}

func cannotLock(err error) bool {
	return errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EINVAL)
}

// current reports whether the open pipe still is the one at the path.
func (x *exchange) current() bool {
	at, err := os.Lstat(x.Input)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) // removed, but the process still reads it for a moment
	}
	open, err := x.pipe.Stat()
	return err == nil && os.SameFile(at, open)
}

// hello checks that the other side listens.
func (x *exchange) hello(ctx context.Context) error {
	nonce := fmt.Appendf(nil, "hello-%016x", rand.Uint64())
	nonce = append(nonce, '\n')
	if err := x.write(nonce); err != nil {
		return err
	}
	return x.await(ctx, nonce, func(file []byte, fi fs.FileInfo, _ time.Duration) bool {
		x.echo = fi
		// Another client's unfinished line may precede it; the nonce's
		// newline has ended that line.
		return bytes.HasSuffix(file, nonce)
	})
}

// answer sends the question and waits for the answer.
func (x *exchange) answer(ctx context.Context) (text string, err error) {
	if err := x.write(x.q.wire()); err != nil {
		return "", err
	}
	x.sent = true
	if x.q.many {
		x.Patience *= 8 // the echo has shown that it listens
	}
	var again []byte
	if x.q.cmd == cmdStatus {
		again = x.q.wire()
	}
	var r reply
	err = x.await(ctx, again, func(file []byte, fi fs.FileInfo, stood time.Duration) bool {
		var whole bool
		r, whole = parseReply(file)
		// A Server replaces the file, so its content is complete. PyBreaker
		// rewrites it in several steps: a reply that does not mark its own end
		// must have been unchanged for a while.
		settled := !os.SameFile(fi, x.echo) || stood >= settleTime
		return whole && x.q.answeredBy(r, settled)
	})
	switch {
	case err != nil:
		return "", err
	case !r.ok:
		return "", &ReplyError{r.body}
	}
	return r.body, nil
}

// settleTime is how long a reply that is written in place must be unchanged
// before it counts as complete. Its writer calls write(2) several times in a
// row.
const settleTime = 50 * time.Millisecond

func (x *exchange) write(line []byte) error {
	err := x.pipe.SetWriteDeadline(time.Now().Add(x.Patience))
	if err == nil {
		_, err = x.pipe.Write(line)
	}
	switch {
	case errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("fifo: %w %s any more%s", ErrNoReader, x.Input, x.process())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return x.stuck()
	case err != nil:
		return fmt.Errorf("fifo: %w", err)
	}
	return nil
}

// await reads the reply until done accepts it. done receives the file and how
// long it has been unchanged. await gives up if nothing changes for Patience, or
// if only other replies come for ten times as long.
//
// A file at the reply's path that cannot be trusted is not read. It is not a
// reason to give up at once: it may have been put there while the process was
// stopped or busy, and the next reply replaces it. So it counts as no reply, and
// becomes the error when Patience is over.
//
// A program that does not take turns may overwrite the answer before it is seen.
// So again, which must not change anything on the other side, is sent once more
// when another reply is there. An order is sent only once.
func (x *exchange) await(ctx context.Context, again []byte, done func(file []byte, fi fs.FileInfo, stood time.Duration) bool) error {
	var last []byte
	also := x.trusted()
	from := time.Now()
	moved, sent := from, from
	return x.poll(ctx, func() (bool, error) {
		file, fi, err := readReply(x.Output, also)
		untrusted := errors.Is(err, ErrUnsafe)
		if err != nil && !untrusted && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("fifo: %w", err)
		}
		now := time.Now()
		if !bytes.Equal(file, last) {
			last, moved = file, now
		}
		switch stood := now.Sub(moved); {
		case err == nil && done(file, fi, stood):
			return true, nil
		case untrusted && stood > x.Patience:
			return false, fmt.Errorf("fifo: %w; the process did not replace it within %s%s; %s", err, x.Patience, x.process(), x.outcome())
		case stood > x.Patience, now.Sub(from) > 10*x.Patience:
			return false, x.stuck()
		case again != nil && stood > settleTime && now.Sub(sent) > x.Patience/6:
			sent = now
			return false, x.write(again)
		}
		return false, nil
	})
}

func (x *exchange) stuck() error {
	return fmt.Errorf("fifo: %w at %s within %s to what was written to %s%s; %s",
		ErrNoAnswer, x.Output, x.Patience, x.Input, x.process(), x.outcome())
}

// outcome says what happened to the order, if the question is one.
func (x *exchange) outcome() string {
	if x.sent && x.q.orders() {
		return "the order was sent and may yet be carried out"
	}
	return "nothing was ordered"
}

// poll calls step until it is done or fails, at first in quick succession.
func (x *exchange) poll(ctx context.Context, step func() (bool, error)) error {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if done, err := step(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("fifo: %w; %s", context.Cause(ctx), x.outcome())
		case <-time.After(pause):
		}
	}
}

// readReply reads the reply file, which does not exist before the first command.
func readReply(path string, also int) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, nil, fmt.Errorf("%w: %s is a symbolic link, want the reply file itself", ErrUnsafe, path)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil {
		err = kindError(path, fi, 0, "plain file", also)
	}
	if err != nil {
		return nil, nil, err
	}
	if fi.Size() > maxReply {
		return nil, nil, fmt.Errorf("the reply %s has %d bytes, want at most %d", path, fi.Size(), maxReply)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxReply))
	return text, fi, err
}

// maxReply limits how much of a reply is read: a table of 100,000 breakers has
// ten megabytes.
const maxReply = 32 << 20

// stamp distinguishes replies without reading them.
func stamp(path string) (size int64, at time.Time) {
	if fi, err := os.Lstat(path); err == nil {
		return fi.Size(), fi.ModTime()
	}
	return 0, time.Time{}
}
