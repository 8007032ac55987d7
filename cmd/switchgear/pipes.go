package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

const maxPipes = 500 // that ps lists

// pipeFolder is the folder in which pipes are looked for.
func pipeFolder() string {
	if dir := os.Getenv("SWITCHGEAR_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, filepath.Base(filepath.Dir(fifo.DefaultInput)))
	}
	return filepath.Dir(fifo.DefaultInput)
}

// pipes lists the named pipes of processes that have no socket: those of this
// user, and for root those of all users.
func pipes(ctx context.Context, sockets []ops.Found) []ops.Found {
	var all []ops.Found
	entries, _ := os.ReadDir(pipeFolder()) // without the folder there are no pipes
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), ".in")
		pid := number(stem)
		if !ok || pid < 1 || e.Type() != os.ModeNamedPipe || len(all) >= maxPipes {
			continue
		}
		x := ops.Found{Path: filepath.Join(pipeFolder(), e.Name()), PID: pid}
		if x.UID, ok = ownerOf(x.Path); !ok || x.UID != os.Geteuid() && os.Geteuid() != 0 {
			continue
		}
		if !slices.ContainsFunc(sockets, func(s ops.Found) bool { return s.PID == pid && s.UID == x.UID }) {
			all = append(all, x)
		}
	}
	together(len(all), func(i int) { askPipe(ctx, &all[i]) })
	return all
}

// askPipe asks what is behind a pipe, as Found.Ask does for a socket.
func askPipe(ctx context.Context, x *ops.Found) {
	if !alive(x.PID) && unread(x.Path) {
		x.Dead, x.Problem = true, "the process is gone and left its pipe"
		return
	}
	p, err := newPipe(x.Path)
	if err != nil {
		x.Problem = err.Error()
		return
	}
	o, err := p.overview(ctx)
	switch {
	case errors.Is(err, fifo.ErrNoReader):
		x.Problem = "the process does not read its pipe"
		return
	case err != nil:
		x.Problem = err.Error()
		return
	}
	if o.Process.PID == 0 { // it is PyBreaker's, which says nothing about the process
		o.Process = ops.Process{PID: x.PID, UID: x.UID, Service: "(pipe)", States: map[string]int{}}
		for i := range o.Breakers {
			o.Process.Breakers++
			o.Process.States[o.Breakers[i].State.String()]++
			o.Process.Overlaid += btoi(o.Breakers[i].Override != nil)
		}
	}
	x.Process = &o.Process
}

// sweep removes what dead processes left, and reports it.
func sweep(all []ops.Found) {
	for i := range all {
		x := &all[i]
		if !x.Dead {
			continue
		}
		err := error(nil)
		switch {
		case strings.HasSuffix(x.Path, ".in") && (x.UID != os.Geteuid() || !ownFolder(pipeFolder())):
			continue // another file may have taken its place
		case strings.HasSuffix(x.Path, ".in"):
			err = errors.Join(os.Remove(x.Path), removeReply(x))
		default:
			err = x.Remove()
		}
		if err != nil {
			x.Problem += ", which cannot be removed: " + err.Error()
		} else {
			x.Problem += ", which was removed"
		}
	}
}

// ownFolder reports whether only this user and root can replace this user's
// files in a folder.
func ownFolder(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	uid, ok := ownerOf(path)
	return ok && (uid == os.Geteuid() || uid == 0) && (info.Mode().Perm()&0o022 == 0 || info.Mode()&os.ModeSticky != 0)
}

// removeReply removes the reply file of a dead process, if it belongs to the
// same user.
func removeReply(x *ops.Found) error {
	path := strings.TrimSuffix(x.Path, ".in") + ".out"
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if uid, ok := ownerOf(path); err != nil || !ok || uid != x.UID || !info.Mode().IsRegular() {
		return err
	}
	return os.Remove(path)
}

// host returns the processes of this host that ps lists.
func host(ctx context.Context) []ops.Found {
	sockets := ops.Processes(ctx)
	all := append(sockets, pipes(ctx, sockets)...)
	sweep(all)
	slices.SortStableFunc(all, func(a, b ops.Found) int { return cmp.Compare(a.PID, b.PID) })
	return all
}
