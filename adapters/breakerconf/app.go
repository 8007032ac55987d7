package breakerconf

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// App is the breakers of a program, and the pipe through which they are
// operated.
type App struct {
	// Manager has the file's settings as its defaults, and the breakers that
	// have a section.
	Manager *breaker.Manager
	// Plane carries out the orders of the pipe, and keeps the audit log if the
	// file names one. Its Listen and Handler serve the same breakers
	// elsewhere.
	Plane *ops.Plane
	// Pipe serves the paths that the file names.
	Pipe *fifo.Server
}

// Open reads the file at path and starts what it describes. It is the
// counterpart of PyBreaker's from_config. opts apply to every breaker. The
// errors are those of Read and fifo.Start; after an error nothing has been
// started.
func Open(path string, opts ...breaker.Option) (*App, error) {
	c, err := Read(path)
	if err != nil {
		return nil, err
	}
	return c.Open(nil, opts...)
}

// Open starts what the Config describes. log receives the orders and problems
// of the pipe, unless it is nil.
func (c Config) Open(log *slog.Logger, opts ...breaker.Option) (*App, error) {
	if err := c.Settings.Validate(); err != nil {
		return nil, fmt.Errorf("breakerconf: %w", err)
	}
	m := breaker.NewManager(c.Settings, opts...)
	for _, b := range c.Breakers {
		if _, err := m.Create(b.Name, b.Settings); err != nil {
			return nil, fmt.Errorf("breakerconf: %w", err)
		}
	}
	c.Ops.Audit = strings.ReplaceAll(c.Ops.Audit, "{pid}", strconv.Itoa(os.Getpid()))
	plane := ops.New(m, c.Ops)
	pipe, err := fifo.Start(plane, fifo.Config{Input: c.Input, Output: c.Output, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("breakerconf: %w", errors.Join(err, plane.Close()))
	}
	return &App{m, plane, pipe}, nil
}

// Close closes the pipe and the plane. The breakers need not be closed and
// continue to work.
func (a *App) Close() error { return errors.Join(a.Pipe.Close(), a.Plane.Close()) }
