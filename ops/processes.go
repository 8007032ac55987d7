package ops

import (
	"context"
	"errors"
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
	// Process is what it says of itself; nil when it does not answer.
	Process *Process `json:"process,omitempty"`
	// Dead: the process is gone and left its socket.
	Dead bool `json:"dead,omitempty"`
	// Problem says why there is no Process.
	Problem string `json:"problem,omitempty"`
}

const (
	findPatience = 2 * time.Second // for all of them together
	findAtOnce   = 32
)

// Processes finds the processes of this host that have a socket where Listen
// puts it by default, of all users whose folders may be read, sorted by number;
// where SWITCHGEAR_RUNTIME_DIR is set, those in it alone. It takes two seconds
// at the most: a process that does not answer by then is listed with its
// Problem. dirs are further runtime dirs to look in.
func Processes(ctx context.Context, dirs ...string) []Found {
	ctx, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	found := sockets(dirs)
	var wg sync.WaitGroup
	turn := make(chan struct{}, findAtOnce)
	for i := range found {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			found[i].ask(ctx)
		})
	}
	wg.Wait()
	return found
}

func (f *Found) ask(ctx context.Context) {
	c, err := NewClient(f.Path)
	if err == nil {
		defer c.Close()
		var p Process
		if p, err = c.Process(ctx); err == nil {
			f.Process = &p
			return
		}
	}
	f.Dead = errors.Is(err, syscall.ECONNREFUSED)
	f.Problem = strings.TrimPrefix(err.Error(), ErrUnreachable.Error()+": "+f.Path+": ")
}

// sockets lists what there is, without a look at whether it lives.
func sockets(dirs []string) []Found {
	dirs = append(dirs, defaultRuntimeDir())
	if !filepath.IsAbs(os.Getenv(runtimeDirEnv)) {
		dirs = append(dirs, "/run")
		for _, pattern := range []string{"/run/user/*", filepath.Join(os.TempDir(), "switchgear-*")} {
			more, _ := filepath.Glob(pattern) // the pattern is good
			dirs = append(dirs, more...)
		}
	}
	slices.Sort(dirs)
	var found []Found
	for _, dir := range slices.Compact(dirs) {
		paths, _ := filepath.Glob(filepath.Join(escapeGlob(dir), socketFolder, "*.sock"))
		for _, path := range paths {
			number, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".sock"), "-")
			if pid, err := strconv.Atoi(number); err == nil {
				found = append(found, Found{Path: path, PID: pid})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Found) int { return a.PID - b.PID })
	return found
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
