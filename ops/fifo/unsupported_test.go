//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package fifo

import (
	"errors"
	"testing"
)

func TestUnsupported(t *testing.T) {
	if _, err := Start(nil, Config{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Start: %v, want ErrUnsupported", err)
	}
	if _, err := (Client{PID: 1}).Status(t.Context(), ""); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Client: %v, want ErrUnsupported", err)
	}
}
