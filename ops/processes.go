package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Found is a socket of this host, and the process behind it.
type Found struct {
	Path string `json:"path"`
	PID  int    `json:"pid"` // by the socket's name
	// UID is the user whose folder and socket it is, and who alone may answer
	// there.
	UID int `json:"uid"`
	// Process is what it says of itself; nil when it does not answer.
	Process *Process `json:"process,omitempty"`
	// Dead: the process is gone and left its socket.
	Dead bool `json:"dead,omitempty"`
	// Problem says why there is no Process.
	Problem string `json:"problem,omitempty"`
}

const (
	findPatience = 2 * time.Second // for each of them, all at once
	maxFound     = 500             // sockets of one user
	maxShown     = 200             // runes of what a process says of itself in Found
)

// Processes finds the processes of this host that have a socket where Listen
// puts it by default, sorted by number; where SWITCHGEAR_RUNTIME_DIR is set,
// those in it alone. dirs are further runtime dirs to look in. Of a user's
// sockets it looks at 500.
//
// Every user of a host can make something that looks like such a socket. A
// socket counts only in a folder that belongs to this user and that nobody else
// can enter, where socket and process are this user's too. Root finds those of
// other users as well, in the folders that are certainly theirs; Found.UID says
// whose they are, and what they say of themselves is only their word.
//
// It takes two seconds at the most, and reads little, whatever the processes
// answer: one that does not, or that is stopped, is listed with its Problem.
func Processes(ctx context.Context, dirs ...string) []Found {
	ctx, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	found := Sockets(dirs...)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() { found[i].Ask(ctx) })
	}
	wg.Wait()
	return found
}

// Sockets lists what Processes would ask.
func Sockets(dirs ...string) []Found {
	var found []Found
	for dir, whose := range runtimeDirs(dirs) {
		folder := filepath.Join(dir, socketFolder)
		if uid, err := trustedOwner(folder, whose); err == nil {
			found = append(found, socketsIn(folder, uid)...)
		}
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Or(a.PID-b.PID, strings.Compare(a.Path, b.Path)) })
	return found
}

// socketsIn lists the sockets of user uid in folder.
func socketsIn(folder string, uid int) (found []Found) {
	for _, name := range namesIn(folder, 8*maxFound) {
		stem, ok := strings.CutSuffix(name, ".sock")
		number, _, _ := strings.Cut(stem, "-")
		pid, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		path := filepath.Join(folder, name)
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket && owner(info) == uid {
			found = append(found, Found{Path: path, PID: pid, UID: uid})
		}
		if len(found) == maxFound {
			break
		}
	}
	return found
}

// Ask asks what kind of process is behind the socket. The answer is in the
// fields.
func (f *Found) Ask(ctx context.Context) {
	c := f.Client()
	defer c.Close()
	f.Process, f.Dead, f.Problem = nil, false, ""
	p, err := c.Process(ctx)
	if err != nil {
		f.Dead = errors.Is(err, syscall.ECONNREFUSED)
		f.Problem = shortened(strings.TrimPrefix(err.Error(), ErrUnreachable.Error()+": "+f.Path+": "))
		return
	}
	for _, text := range []*string{&p.Host, &p.Service, &p.Go, &p.AuditError, &p.StandingError, &p.Event} {
		*text = shortened(*text)
	}
	f.Process = &p
}

// Remove removes the socket of a dead process. It looks again whether it is dead,
// while no process can make a socket in that folder.
func (f *Found) Remove() error {
	return locked(filepath.Dir(f.Path), func() error {
		if !refuses(f.Path) {
			return fmt.Errorf("ops: %s is in use", f.Path)
		}
		return os.Remove(f.Path)
	})
}

// shortened is text of a length that fits a list.
func shortened(text string) string {
	if len(text) <= maxShown {
		return text
	}
	n := 0
	for i := range text {
		if n++; n > maxShown {
			return text[:i] + "…"
		}
	}
	return text
}

// Client is a client of the process. It speaks only to user f.UID, and not to a
// process that is stopped.
func (f *Found) Client() *Client {
	c := newSocketClient(f.Path, f.UID)
	c.impatient = true
	return c
}
