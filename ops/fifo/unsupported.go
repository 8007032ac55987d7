//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package fifo

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/switchgear-go/switchgear/ops"
)

// Server answers commands on a named pipe until it is closed. This system has
// no named pipes.
type Server struct{}

var errUnsupported = fmt.Errorf("fifo: no named pipes on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// Start returns an error that matches errors.ErrUnsupported.
func Start(*ops.Plane, Config) (*Server, error) { return nil, errUnsupported }

// Close does nothing.
func (s *Server) Close() error { return nil }

func (c Client) ask(context.Context, question) (string, error) { return "", errUnsupported }
