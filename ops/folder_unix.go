//go:build unix

package ops

import (
	"os"
	"syscall"
)

// owner returns the user who owns a file.
func owner(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// openFolder opens path if it is a folder, and neither a link nor a pipe,
// which would make it wait.
func openFolder(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
