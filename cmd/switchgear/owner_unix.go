//go:build unix

package main

import (
	"os"
	"syscall"
)

// pipeOwner is the other user to whom the pipe at path belongs, or "".
func pipeOwner(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return userOf(int(st.Uid))
	}
	return ""
}
