// Package procstate returns the state of a process as the system reports it.
package procstate

import (
	"bytes"
	"fmt"
	"os"
)

// The letters of the states that matter here.
const (
	Stopped = 'T' // by a signal
	Traced  = 't' // by a debugger
	Zombie  = 'Z' // it has ended, but its parent has not noticed
)

// Of returns the letter for a process's state in Linux's /proc, or 0.
func Of(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name before it, in parentheses, may contain any character.
	_, after, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	if !ok || len(after) == 0 {
		return 0
	}
	return after[0]
}
