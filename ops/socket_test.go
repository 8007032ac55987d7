//go:build unix

package ops_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestClientOverSocket(t *testing.T) {
	m := shop(t)
	s, c := listen(t, m)
	p, err := c.Process(ctx)
	if err != nil || p.PID != os.Getpid() || p.Service != "shop" || p.Breakers != 5 || p.States["closed"] != 5 || p.ReadOnly {
		t.Errorf("Process = %+v, %v", p, err)
	}
	r, err := c.Order(ctx, ops.Order{ID: "tenants/c/d", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", For: ops.Duration(time.Hour)})
	if err != nil || r.Touched != 1 || r.Results[0].After != breaker.ForcedOpen {
		t.Errorf("Order = %+v, %v", r, err)
	}
	all, err := c.Status(ctx, ops.StatusQuery{})
	if err != nil || len(all) != 5 || all[0].ID != "payments" || all[0].Settings != (breaker.Settings{}) {
		t.Errorf("Status = %+v, %v, want 5 without settings", all, err)
	}
	one, err := c.Status(ctx, ops.StatusQuery{IDs: []string{"tenants/c/d"}, Full: true})
	if err != nil || len(one) != 1 || one[0].Override == nil || one[0].Override.Actor != "ana" || one[0].Settings == (breaker.Settings{}) || one[0].Explain == "" {
		t.Errorf("Status of one = %+v, %v", one, err)
	}
	forced, err := c.Status(ctx, ops.StatusQuery{IDs: []string{"tenants/*"}, States: []breaker.State{breaker.ForcedOpen}})
	if err != nil || len(forced) != 1 || forced[0].ID != "tenants/c/d" {
		t.Errorf("Status of the forced = %+v, %v", forced, err)
	}
	few, err := c.Status(ctx, ops.StatusQuery{Limit: 2})
	if err != nil || len(few) != 2 {
		t.Errorf("Status of 2 = %+v, %v", few, err)
	}
	why, err := c.Explain(ctx, "tenants/c/d", "payments")
	if err != nil || len(why) != 2 || why[1].Explain != "payments is closed and has never opened. It opens on 5 more failures in a row." {
		t.Errorf("Explain = %+v, %v", why, err)
	}
	past, err := c.History(ctx, "tenants/c/d")
	if err != nil || len(past) != 1 || len(past[0].Transitions) != 1 || past[0].Transitions[0].Reason != "INC-42" {
		t.Errorf("History = %+v, %v", past, err)
	}
	var o ops.Overview
	// An order does not wait for listeners, and one of them counts overrides.
	eventually(t, "the override is counted", func() bool {
		o, err = c.Overview(ctx)
		return err != nil || o.Process.Overlaid == 1
	})
	if err != nil || len(o.Breakers) != 2 || len(o.Sets) != 1 || o.Sets[0].Keys != 3 || len(o.Sets[0].Worst) != 1 {
		t.Errorf("Overview = %+v, %v", o, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	c.Close()
	if _, err := c.Process(ctx); !errors.Is(err, ops.ErrUnreachable) {
		t.Errorf("after Close: %v, want ErrUnreachable", err)
	}
}

func TestClientErrorsMatch(t *testing.T) {
	_, c := listen(t, shop(t))
	_, err := c.Order(ctx, ops.Order{ID: "paymnets", Verb: breaker.VerbOpen, Actor: "ana"})
	var e *ops.Error
	if !errors.Is(err, breaker.ErrUnknown) || !errors.As(err, &e) || len(e.Near) != 1 || e.Near[0] != "payments" || e.Status != http.StatusNotFound {
		t.Errorf("typo: %#v", err)
	}
	if _, err = c.Order(ctx, ops.Order{ID: "*", Verb: breaker.VerbOpen, Actor: "ana"}); !errors.Is(err, ops.ErrConfirm) || !errors.As(err, &e) || e.Matched != 5 {
		t.Errorf("unconfirmed: %#v", err)
	}
	if _, err = c.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", IfVersion: 7}); !errors.Is(err, breaker.ErrVersion) {
		t.Errorf("old version: %#v", err)
	}
	if _, err = c.Explain(ctx, "tenants"); !errors.Is(err, breaker.ErrUnknown) || !errors.As(err, &e) || e.Near[0] != "tenants/*" {
		t.Errorf("explain of a set: %#v", err)
	}
	if _, err = c.Explain(ctx); !errors.Is(err, breaker.ErrOrder) {
		t.Errorf("explain of nothing: %#v", err)
	}
}

func TestSocketIsForItsUserAlone(t *testing.T) {
	s, _ := listen(t, shop(t))
	for path, want := range map[string]os.FileMode{filepath.Dir(s.Path()): 0o700, s.Path(): 0o600} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v, want %o", path, info.Mode(), err, want)
		}
	}
	open := t.TempDir()
	if err := os.Mkdir(filepath.Join(open, "switchgear"), 0o755); err != nil {
		t.Fatal(err)
	}
	if s, err := planeOf(t, shop(t), ops.Options{RuntimeDir: open}).Listen(); err == nil {
		s.Close()
		t.Error("a folder that others may enter was accepted")
	}
	linked := t.TempDir()
	if err := os.Symlink(filepath.Dir(s.Path()), filepath.Join(linked, "switchgear")); err != nil {
		t.Fatal(err)
	}
	if s, err := planeOf(t, shop(t), ops.Options{RuntimeDir: linked}).Listen(); err == nil {
		s.Close()
		t.Error("a link in the folder's place was accepted")
	}
}

func TestSocketReplacesTheDead(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "switchgear")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(folder, strconv.Itoa(os.Getpid())+".sock")
	other := filepath.Join(folder, "999999999.sock")
	for _, path := range []string{own, other} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	found := ops.Processes(ctx, dir)
	dead := 0
	for _, f := range found {
		if f.Dead && filepath.Dir(f.Path) == folder {
			dead++
		}
	}
	if dead != 2 {
		t.Errorf("Processes = %+v, want two dead ones", found)
	}
	o := ops.Options{RuntimeDir: dir}
	first, err := planeOf(t, shop(t), o).Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.Path() != own {
		t.Errorf("listens at %s, want %s", first.Path(), own)
	}
	if _, err := os.Lstat(other); !errors.Is(err, os.ErrNotExist) {
		t.Error("another dead process's socket was left")
	}
	second, err := planeOf(t, shop(t), o).Listen()
	if err != nil {
		t.Fatal(err)
	}
	if second.Path() == first.Path() {
		t.Error("a living socket was replaced")
	}
	second.Close()
	c, _ := ops.NewClient(first.Path())
	if _, err := c.Process(ctx); err != nil {
		t.Errorf("the first socket: %v", err)
	}
}

// Planes that open their sockets at the same moment get one each.
func TestSocketsAtOnce(t *testing.T) {
	const planes = 32
	for range 10 {
		dir := t.TempDir()
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: deadSocket(t, dir), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		var all sync.WaitGroup
		servers := make([]*ops.Server, planes)
		for i := range servers {
			all.Go(func() {
				s, err := ops.New(breaker.NewManager(breaker.Settings{}), ops.Options{RuntimeDir: dir, Service: strconv.Itoa(i)}).Listen()
				if err != nil {
					t.Error(err)
					return
				}
				servers[i] = s
			})
		}
		all.Wait()
		if t.Failed() {
			t.FailNow()
		}
		for i, s := range servers {
			c, err := ops.NewClient(s.Path())
			if err != nil {
				t.Fatal(err)
			}
			if p, err := c.Process(ctx); err != nil || p.Service != strconv.Itoa(i) {
				t.Errorf("at %s: %q, %v, want %d", s.Path(), p.Service, err, i)
			}
			c.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if left, _ := filepath.Glob(dir + "/switchgear/*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// deadSocket returns the path of this process's socket in the runtime dir.
func deadSocket(t *testing.T, dir string) string {
	t.Helper()
	folder := filepath.Join(dir, "switchgear")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, strconv.Itoa(os.Getpid())+".sock")
}

func TestProcessesIsBounded(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "switchgear")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("unix", filepath.Join(folder, "4242.sock")) // like a stopped process: it accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s, err := planeOf(t, shop(t), ops.Options{RuntimeDir: dir, Service: "alive"}).Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	alive, stuck := false, false
	for _, f := range ops.Processes(ctx, dir) {
		alive = alive || f.Process != nil && f.Process.Service == "alive"
		stuck = stuck || f.PID == 4242 && f.Process == nil && !f.Dead && f.Problem != ""
	}
	if took := time.Since(began); took > 4*time.Second || !alive || !stuck {
		t.Errorf("alive %t, stuck %t, after %s", alive, stuck, took)
	}
}

// A program that sets the folder, as tests do, gives no orders to other
// processes on the host.
func TestProcessesOfAChosenFolderAlone(t *testing.T) {
	host := t.TempDir()
	t.Setenv("TMPDIR", host)
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", "")
	s, err := planeOf(t, shop(t), ops.Options{RuntimeDir: filepath.Join(host, "switchgear-7")}).Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := func() bool {
		return slices.ContainsFunc(ops.Processes(ctx), func(f ops.Found) bool { return f.Path == s.Path() })
	}
	if !found() {
		t.Errorf("%s is not found", s.Path())
	}
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", t.TempDir())
	if found() {
		t.Errorf("%s is found, which is not in SWITCHGEAR_RUNTIME_DIR", s.Path())
	}
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", filepath.Join(host, "switchgear-7"))
	if !found() {
		t.Errorf("%s is not found in its own SWITCHGEAR_RUNTIME_DIR", s.Path())
	}
}

func TestClientAddresses(t *testing.T) {
	for _, bad := range []string{"", "payments", "-1", "ftp://host/", "http://", "http://user:secret@host/", "http://host/?token=x"} {
		if c, err := ops.NewClient(bad); err == nil {
			t.Errorf("NewClient(%q) = %s, want an error", bad, c.Address())
		}
	}
	c, err := ops.NewClient("/nowhere/1.sock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Process(ctx)
	if want := "process does not answer: /nowhere/1.sock: there is no such socket"; !errors.Is(err, ops.ErrUnreachable) || err.Error() != want {
		t.Errorf("err = %v, want %q", err, want)
	}
}

func TestEventsOverSocket(t *testing.T) {
	m := shop(t)
	_, c := listen(t, m)
	p, err := c.Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", Reason: "drill"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var last string
	seen := map[ops.EventKind]bool{}
	for e, err := range c.Events(ctx, p.Event) { // the order and its transition, whichever is first
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Kind] = true
		switch {
		case e.Kind == ops.EventTransition && (e.ID != "payments" || e.Transition.Actor != "ana"),
			e.Kind == ops.EventOrder && e.Order.Reason != "drill":
			t.Errorf("event = %+v", e)
		}
		if last = e.StreamID; e.Seq == 2 {
			break
		}
	}
	if !seen[ops.EventTransition] || !seen[ops.EventOrder] {
		t.Errorf("the events are %v, want a transition and an order", seen)
	}
	m.Breaker("late").Open(breaker.Order{})
	for e, err := range c.Events(ctx, last) {
		if err != nil || e.ID != "late" || e.Seq != 3 {
			t.Errorf("after coming back: %+v, %v", e, err)
		}
		break
	}
	for e, err := range c.Events(ctx, "other-17") {
		if err != nil || e.Kind != ops.EventGap {
			t.Errorf("from another process: %+v, %v, want a gap", e, err)
		}
		break
	}
}
