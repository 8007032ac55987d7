//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package ops

import (
	"os"
	"syscall"
)

// lockFile takes f for this process alone, until f is closed.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
