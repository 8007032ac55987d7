//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package ops

import (
	"os"
	"syscall"
)

// lockFile takes f for this process alone, until unlockFile.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unlockFile gives f up. Closing it is not enough: a child that is just being
// started has it open too until it runs its own program.
func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
