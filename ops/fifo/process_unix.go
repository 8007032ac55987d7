//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/switchgear-go/switchgear/ops/internal/procstate"
)

// process describes what can be seen of the process from outside, as the end
// of an error's text.
func (x *exchange) process() string {
	switch {
	case x.PID <= 0:
		return ""
	case errors.Is(syscall.Kill(x.PID, 0), syscall.ESRCH):
		return fmt.Sprintf(" (there is no process %d)", x.PID)
	}
	switch procstate.Of(x.PID) {
	case procstate.Stopped, procstate.Traced:
		return fmt.Sprintf(" (process %d is stopped)", x.PID)
	case procstate.Zombie:
		return fmt.Sprintf(" (process %d has ended, its parent has not noticed)", x.PID)
	}
	return fmt.Sprintf(" (process %d is alive)", x.PID)
}

// trusted returns whose files a client trusts in addition to those of its own
// user and of root. Root operates the processes of all users; then the files
// must belong to the process's owner, if the system says who that is.
func (c *Client) trusted() int {
	if os.Geteuid() != 0 {
		return noOtherUser
	}
	if fi, err := os.Stat(fmt.Sprintf("/proc/%d", c.PID)); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			return int(st.Uid)
		}
	}
	return anyUser
}
