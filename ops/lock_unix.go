//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package ops

import (
	"os"
	"syscall"
)

// lockFile locks f for this process alone, until unlockFile.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unlockFile unlocks f. Closing f is not enough: a child process that is being
// started also holds it until it runs its own program.
func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
