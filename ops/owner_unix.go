//go:build unix

package ops

import (
	"os"
	"syscall"
)

// owner is the user that a file belongs to.
func owner(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
