//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// ownerOf returns the user who owns the file at path.
func ownerOf(path string) (uid int, ok bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// alive reports whether a process with this number exists on this system. A
// process in another container may use the same folder.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// unread reports whether no process reads the pipe at path.
func unread(path string) bool {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, syscall.ENXIO)
}
