//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

// patrolEvery is the time between two checks that the pipe is still there.
const patrolEvery = time.Second

// Server answers commands on a named pipe until it is closed.
type Server struct {
	output  string
	release func() error // releases the output
	orders  *dispatcher
	lines   lines
	log     *slog.Logger
	stop    chan struct{} // closed by Close
	done    chan struct{} // closed when run has returned
	once    sync.Once
	err     error // of Close

	mu   sync.Mutex // guards the field below against Close
	pipe *pipe      // replaced by run only

	// Used only by run, and by Close after run.
	last    fs.FileInfo // the newest reply
	trouble string      // the last problem logged, so that it is logged once
}

// Start creates the pipe and answers commands for the breakers of the plane until
// Close. Close the server before the plane.
//
// The directory is created if it is missing. A pipe and a reply that a dead
// process left are replaced. The error matches ErrInUse when another server reads the
// pipe or writes the reply, ErrUnsafe when the files cannot be trusted, and
// errors.ErrUnsupported where there are no named pipes. A pipe that is removed
// later is made again within about a second.
func Start(plane *ops.Plane, c Config) (*Server, error) {
	// Absolute, so that the process may change its folder.
	input, err1 := filepath.Abs(expand(orDefault(c.Input, DefaultInput), os.Getpid()))
	output, err2 := filepath.Abs(expand(orDefault(c.Output, DefaultOutput), os.Getpid()))
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("fifo: %w", err)
	}
	if input == output {
		return nil, fmt.Errorf("fifo: the pipe and the reply are both %s, want two paths", input)
	}
	// The pipe is claimed first: the server that reads it also owns the reply.
	p, err := claim(input, false)
	if err != nil {
		return nil, fmt.Errorf("fifo: %w", err)
	}
	release, err := claimOutput(output)
	if err != nil {
		err = errors.Join(err, removeIfSame(input, p.info))
		p.close()
		return nil, fmt.Errorf("fifo: %w", err)
	}
	d := newDispatcher(plane, c.Logger)
	s := &Server{
		output: output, release: release, orders: d, log: d.log, pipe: p,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.lines.emit = func(line []byte) { s.say(s.orders.answer(string(line))) }
	s.lines.refuse = func(head []byte) { s.say(s.orders.tooLong(head)) }
	s.wake(patrolEvery)
	go s.run()
	return s, nil
}

// Close stops answering and removes the pipe and the reply, if they are still
// this server's. A command that is running is finished first. Calling Close
// again returns the same error.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.stop)
		s.wake(-1)
		<-s.done
		s.err = errors.Join(removeIfSame(s.pipe.path, s.pipe.info), removeIfSame(s.output, s.last), s.release())
		s.pipe.close()
	})
	return s.err
}

// wake makes the current read return after d. Once Close has begun, it returns
// at once.
func (s *Server) wake(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped() {
		d = -1
	}
	if err := s.pipe.r.SetReadDeadline(time.Now().Add(d)); err != nil {
		s.log.Error("breaker pipe: cannot set a deadline, Close may hang", "error", err)
	}
}

func (s *Server) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func (s *Server) run() {
	defer close(s.done)
	buf := make([]byte, maxLine)
	for {
		n, err := s.pipe.r.Read(buf)
		if s.stopped() {
			return
		}
		s.lines.write(buf[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.patrol()
		case errors.Is(err, io.EOF): // the last writer has gone, so the unfinished line is complete
			s.lines.end()
		case err != nil:
			s.tell("read", err)
			s.pause()
		}
		s.settle()
	}
}

// settle holds the pipe's write end, or releases it while an unfinished line
// waits; see pipe.
func (s *Server) settle() {
	if s.lines.half() {
		s.pipe.letGo()
		return
	}
	if s.pipe.hold() == nil {
		return
	}
	// The path is not our pipe any more.
	if s.patrol(); s.pipe.w == nil {
		s.pause()
	}
}

// patrol creates the pipe again if it is no longer at its path.
func (s *Server) patrol() {
	defer s.wake(patrolEvery)
	if s.pipe.inPlace() {
		s.trouble = ""
		return
	}
	fresh, err := claim(s.pipe.path, true)
	if err != nil {
		s.tell("make the pipe again", err)
		return
	}
	s.drain()
	s.mu.Lock()
	old := s.pipe
	s.pipe = fresh
	s.mu.Unlock()
	old.close()
	s.log.Warn("breaker pipe: it had gone and was made again", "path", fresh.path)
}

// drain runs what writers have sent into a pipe that is being given up.
func (s *Server) drain() {
	s.pipe.letGo()
	s.wake(10 * time.Millisecond)
	buf := make([]byte, maxLine)
	for {
		n, err := s.pipe.r.Read(buf)
		s.lines.write(buf[:n])
		if err != nil {
			break
		}
	}
	if s.lines.half() {
		s.lines.end()
	}
}

// say writes a reply. A problem with the file does not stop the command.
func (s *Server) say(text []byte) {
	if text == nil {
		return
	}
	fi, err := writeReply(s.output, text)
	if errors.Is(err, fs.ErrNotExist) { // the directory was removed
		if err = checkFolder(filepath.Dir(s.output)); err == nil {
			fi, err = writeReply(s.output, text)
		}
	}
	if err != nil {
		s.tell("write the reply", err)
		return
	}
	s.last = fi
}

// tell logs a problem, but only once if it repeats.
func (s *Server) tell(doing string, err error) {
	text := doing + ": " + err.Error()
	if text != s.trouble {
		s.trouble = text
		s.log.Error("breaker pipe: cannot "+doing, "error", err)
	}
}

func (s *Server) pause() {
	select {
	case <-s.stop:
	case <-time.After(patrolEvery):
	}
}
