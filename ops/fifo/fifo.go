package fifo

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
)

// The paths of PyBreaker's documentation. {pid} stands for the process id.
const (
	DefaultInput  = "/tmp/breaker/{pid}.in"
	DefaultOutput = "/tmp/breaker/{pid}.out"
)

var (
	// ErrInUse is matched by the error of a Start whose pipe already has a reader:
	// another server, in this process or in another.
	ErrInUse = errors.New("the pipe is in use")
	// ErrUnsafe is matched by the error for a file or folder that cannot be
	// trusted: a symbolic link, something other than a pipe, or one that belongs
	// to another user.
	ErrUnsafe = errors.New("refused")
	// ErrNoPipe is matched by a client's error when there is no pipe at its
	// path.
	ErrNoPipe = errors.New("no input pipe")
	// ErrNoReader is matched by a client's error when the pipe has no reader: its
	// process has ended.
	ErrNoReader = errors.New("no process reads the pipe")
	// ErrNoAnswer is matched by a client's error when a process has the pipe open
	// but no answer came in time.
	ErrNoAnswer = errors.New("no answer")
	// ErrNotKnown is matched by a client's error when the other side only speaks
	// PyBreaker's protocol, which has no release, reasons, ends, settings or
	// history. Nothing was changed.
	ErrNotKnown = errors.New("the other side does not know this order")
)

// Config says where a Server listens. The zero value has the defaults.
type Config struct {
	// Input is the path of the pipe; {pid} in it stands for the process id.
	// Default DefaultInput.
	Input string
	// Output is the path of the reply file; {pid} as above. Default
	// DefaultOutput.
	Output string
	// Logger logs every order and every problem with the files. Default: none
	// does.
	Logger *slog.Logger
}

// expand puts pid in the place of {pid}.
func expand(path string, pid int) string {
	return strings.ReplaceAll(path, "{pid}", strconv.Itoa(pid))
}

func orDefault(path, def string) string {
	if path == "" {
		return def
	}
	return path
}
