//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package ops

import "os"

// lockFile does nothing: this system has no such lock.
func lockFile(*os.File) error { return nil }

func unlockFile(*os.File) error { return nil }
