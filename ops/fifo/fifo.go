package fifo

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/switchgear-go/switchgear/ops"
)

// The paths of PyBreaker's documentation. {pid} stands for the process id.
const (
	DefaultInput  = "/tmp/breaker/{pid}.in"
	DefaultOutput = "/tmp/breaker/{pid}.out"
)

var (
	// ErrInUse is matched by the error of a Start whose pipe somebody reads
	// already: another server, in this process or in another.
	ErrInUse = errors.New("the pipe is in use")
	// ErrUnsafe is matched by the error for a file or folder that is not to be
	// trusted: a link, something that is no pipe, or one of a foreign owner.
	ErrUnsafe = errors.New("refused")
	// ErrNoPipe is matched by a client's error when there is no pipe at its
	// path.
	ErrNoPipe = errors.New("no input pipe")
	// ErrNoReader is matched by a client's error when nobody reads the pipe:
	// its process has ended.
	ErrNoReader = errors.New("nobody reads the pipe")
	// ErrNoAnswer is matched by a client's error when somebody has the pipe
	// open but no answer came in time.
	ErrNoAnswer = errors.New("no answer")
	// ErrNotKnown is matched by a client's error when the other side speaks
	// PyBreaker's protocol only, and so knows neither release nor a reason,
	// an end, settings or history. Nothing was changed.
	ErrNotKnown = errors.New("the other side does not know this order")
)

// Config says where a Server listens. A zero Config consists of defaults.
type Config struct {
	// Input is the path of the pipe; {pid} in it stands for the process id.
	// Default DefaultInput.
	Input string
	// Output is the path of the reply file; {pid} as above. Default
	// DefaultOutput.
	Output string
	// Logger is told of every order and of every trouble with the files.
	// Default: nobody is told.
	Logger *slog.Logger
	// Do carries out the orders. A Plane's Do puts them on record, and shows
	// them on its other doors. Default: ops.Do, which does neither.
	Do func(ops.Order, ops.Peer) (ops.Receipt, error)
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
