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

// Found is a socket on this host, and the process behind it.
type Found struct {
	Path string `json:"path"`
	PID  int    `json:"pid"` // from the socket's name
	// UID is the user who owns the folder and the socket. Only a process of
	// this user may answer there.
	UID int `json:"uid"`
	// Process is what the process says about itself; nil if it does not
	// answer.
	Process *Process `json:"process,omitempty"`
	// Dead means that the process has ended without removing its socket.
	Dead bool `json:"dead,omitempty"`
	// Problem says why Process is nil.
	Problem string `json:"problem,omitempty"`
}

const (
	findPatience = 2 * time.Second // for each process; all are asked at once
	maxFound     = 500             // sockets of one user
	maxShown     = 200             // characters of a process's own texts in Found
)

// Processes finds the processes on this host that have a socket in the default
// place of Listen, sorted by process id. If SWITCHGEAR_RUNTIME_DIR is set, it
// looks only there. dirs are further runtime dirs to look in. It looks at up
// to 500 sockets per user.
//
// Every user of a host can make something that looks like such a socket. So a
// socket counts only if its folder belongs to this user, other users cannot
// enter the folder, and socket and process are this user's as well. Root also
// finds those of other users, in folders that certainly belong to them;
// Found.UID says who they are. What their processes say about themselves
// cannot be verified.
//
// Processes takes at most two seconds and reads little, whatever the processes
// answer. A process that is stopped or does not answer is listed with its
// Problem.
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

// Sockets lists the sockets that Processes would ask, without asking them. Use it
// where one process that does not answer must not delay the others, and call
// Found.Ask or Found.Client for each.
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

// Ask finds out what process is behind the socket, and fills in the fields.
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

// Remove removes the socket of a dead process. It checks again that the
// process is dead, while no process can create a socket in that folder.
func (f *Found) Remove() error {
	return locked(filepath.Dir(f.Path), func() error {
		if !refuses(f.Path) {
			return fmt.Errorf("ops: %s is in use", f.Path)
		}
		return os.Remove(f.Path)
	})
}

// shortened returns text cut to a length that fits a list.
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

// Client returns a client for the process. It talks only to user f.UID, and
// not to a process that is stopped.
func (f *Found) Client() *Client {
	c := newSocketClient(f.Path, f.UID)
	c.impatient = true
	return c
}
