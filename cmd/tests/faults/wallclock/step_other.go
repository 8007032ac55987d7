//go:build !(linux && amd64)

package wallclock

import (
	"errors"
	"time"
)

// Step cannot move the clock here: the error matches errors.ErrUnsupported.
func Step(time.Duration) error { return errors.ErrUnsupported }
