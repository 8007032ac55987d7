package ops_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

const nobody = 65534

// playFake is a process that only looks like one with an operations plane: it
// answers at the socket OPS_TEST_SOCKET as OPS_TEST_FAKE says.
func playFake() error {
	path := os.Getenv("OPS_TEST_SOCKET")
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(cmp.Or(os.Getenv("OPS_TEST_MODE"), "0700"), 8, 32)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(path, 0o777), os.Chmod(dir, os.FileMode(mode)), os.Chmod(filepath.Dir(dir), os.FileMode(mode))); err != nil {
		return err
	}
	fmt.Println(path)
	return http.Serve(l, http.HandlerFunc(fake))
}

const fakeProcess = `{"pid": 1, "uid": 0, "service": "payments-api", "breakers": 1, "states": {"closed": 1}}`

func fake(w http.ResponseWriter, r *http.Request) {
	switch os.Getenv("OPS_TEST_FAKE") {
	case "bomb":
		fmt.Fprint(w, `{"service": "`)
		for chunk := strings.Repeat("A", 1<<20); ; {
			if _, err := fmt.Fprint(w, chunk); err != nil {
				return
			}
		}
	case "header bomb":
		for i := range 100_000 {
			w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("A", 1000))
		}
		fmt.Fprint(w, fakeProcess)
	case "drip":
		for {
			if _, err := fmt.Fprint(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	case "hang":
		<-r.Context().Done()
	case "redirect":
		http.Redirect(w, r, "/again"+r.URL.Path, http.StatusFound)
	case "long name":
		fmt.Fprintf(w, `{"pid": 1, "service": %q}`, strings.Repeat("A", 50_000))
	case "long error":
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, `{"error": {"code": "x", "message": %q}}`, strings.Repeat("A", 50_000))
	default:
		fmt.Fprint(w, fakeProcess)
	}
}

// startFake starts a fake as user uid, whose socket is at path.
func startFake(t *testing.T, uid uint32, path string, env ...string) {
	t.Helper()
	needsRoot(t)
	c := exec.Command(readable(t))
	c.Dir = "/"
	c.Env = append(env, "OPS_TEST_AS=fake", "OPS_TEST_SOCKET="+path)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != path+"\n" {
		t.Fatalf("the fake says %q, %v", line, err)
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root, to become another user")
	}
}

// readable is this test binary where every user may run it.
func readable(t *testing.T) string {
	t.Helper()
	dir := openTemp(t)
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "other")
	if err := os.WriteFile(exe, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return exe
}

// openTemp returns a folder like /tmp, to which everyone may add. Its path is
// short, because that of a socket has to be.
func openTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sg") //nolint:usetesting // T.TempDir has the test's name in it, which is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tempOfAll makes the folder for temporary files a new one, shared by all
// users of the host.
func tempOfAll(t *testing.T) string {
	t.Helper()
	dir := openTemp(t)
	t.Setenv("TMPDIR", dir)
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	return dir
}

// under returns what is found below dir.
func under(t *testing.T, dir string, found []ops.Found) (out []ops.Found) {
	t.Helper()
	for _, f := range found {
		if strings.HasPrefix(f.Path, dir) {
			out = append(out, f)
		}
	}
	return out
}

// Every user may put a socket into the folder for temporary files. Root finds
// it if it certainly belongs to that user, and then under that user's name.
func TestRootSeesWhoseAProcessIs(t *testing.T) {
	tmp := tempOfAll(t)
	startFake(t, nobody, filepath.Join(tmp, "switchgear-65534/switchgear/4242.sock"))
	found := under(t, tmp, ops.Processes(ctx))
	if len(found) != 1 || found[0].Process == nil || found[0].UID != nobody {
		t.Errorf("found %+v, want the process of user %d", found, nobody)
	}
}

func TestFoldersThatAreNotTrusted(t *testing.T) {
	needsRoot(t)
	chown := func(path string, uid int) func(t *testing.T, tmp string) {
		return func(t *testing.T, tmp string) {
			if err := os.Lchown(filepath.Join(tmp, path), uid, uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		uid  uint32
		dir  string
		mode string
		then func(t *testing.T, tmp string)
	}{
		"others may enter":             {nobody, "switchgear-65534", "0711", nil},
		"others may read":              {nobody, "switchgear-65534", "0744", nil},
		"the group may write":          {nobody, "switchgear-65534", "0770", nil},
		"another user's number":        {nobody, "switchgear-1000", "0700", nil},
		"root's number":                {nobody, "switchgear-0", "0700", nil},
		"no number":                    {nobody, "switchgear-payments", "0700", nil},
		"the socket is another user's": {nobody, "switchgear-65534", "0700", chown("switchgear-65534/switchgear/4242.sock", 1000)},
		"the folder is another user's": {nobody, "switchgear-65534", "0700", chown("switchgear-65534/switchgear", 1000)},
		"the process is another user's": {nobody, "switchgear-1000", "0700", func(t *testing.T, tmp string) {
			for _, path := range []string{"", "/switchgear", "/switchgear/4242.sock"} {
				chown("switchgear-1000"+path, 1000)(t, tmp)
			}
		}},
		"a link in the runtime folder's place": {nobody, "mallory", "0700", func(t *testing.T, tmp string) {
			if err := os.Symlink(tmp+"/mallory", tmp+"/switchgear-65534"); err != nil {
				t.Fatal(err)
			}
			chown("switchgear-65534", nobody)(t, tmp)
		}},
		"a link in the folder's place": {nobody, "mallory", "0700", func(t *testing.T, tmp string) {
			if err := errors.Join(os.Mkdir(tmp+"/switchgear-65534", 0o700), os.Symlink(tmp+"/mallory/switchgear", tmp+"/switchgear-65534/switchgear")); err != nil {
				t.Fatal(err)
			}
			chown("switchgear-65534", nobody)(t, tmp)
			chown("switchgear-65534/switchgear", nobody)(t, tmp)
		}},
		"a link in the socket's place": {nobody, "mallory", "0700", func(t *testing.T, tmp string) {
			dir := tmp + "/switchgear-65534/switchgear"
			if err := errors.Join(os.MkdirAll(dir, 0o700), os.Symlink(tmp+"/mallory/switchgear/4242.sock", dir+"/7.sock")); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"", "/switchgear", "/switchgear/7.sock"} {
				chown("switchgear-65534"+path, nobody)(t, tmp)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tmp := tempOfAll(t)
			startFake(t, c.uid, filepath.Join(tmp, c.dir, "switchgear/4242.sock"), "OPS_TEST_MODE="+c.mode)
			if c.then != nil {
				c.then(t, tmp)
			}
			for _, f := range under(t, tmp, ops.Processes(ctx)) {
				if f.Process != nil {
					t.Errorf("taken for a process: %+v", f)
				}
			}
		})
	}
}

// A user who is not root trusts only their own folders: neither one that
// another user created in their name, nor any other.
func TestUsersTrustOnlyTheirOwnFolders(t *testing.T) {
	for _, c := range []struct {
		owner uint32 // of the folder of nobody, and of the fake
		mode  string
		want  string
	}{
		{nobody, "0700", "switchgear-65534/switchgear/4242.sock\n"},
		{1000, "0755", ""},
		{0, "0755", ""},
	} {
		tmp := tempOfAll(t)
		startFake(t, c.owner, filepath.Join(tmp, "switchgear-65534/switchgear/4242.sock"), "OPS_TEST_MODE="+c.mode)
		finder := exec.Command(readable(t))
		finder.Dir = "/"
		finder.Env = []string{"OPS_TEST_AS=finder", "TMPDIR=" + tmp}
		finder.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := finder.CombinedOutput()
		if got := strings.TrimPrefix(string(out), tmp+"/"); err != nil || got != c.want {
			t.Errorf("in user %d's folder, nobody finds %q, %v, want %q", c.owner, got, err, c.want)
		}
	}
}

// What happens between the check of a socket and the connection does not
// matter: the kernel reports who is at the other end.
func TestSocketReplacedAfterTheLook(t *testing.T) {
	tmp := tempOfAll(t)
	ownSocket := filepath.Join(tmp, "switchgear-65534/switchgear/4242.sock")
	startFake(t, nobody, ownSocket)
	found := under(t, tmp, ops.Sockets())
	if len(found) != 1 {
		t.Fatalf("found %+v", found)
	}
	s, err := ops.New(breaker.NewManager(breaker.Settings{}), ops.Options{RuntimeDir: filepath.Join(tmp, "root")}).Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, swap := range map[string]func() error{
		"a link to root's socket": func() error { return os.Symlink(s.Path(), ownSocket) },
		"root's socket itself":    func() error { return os.Link(s.Path(), ownSocket) },
		"the folder": func() error {
			return replaceFolder(filepath.Dir(ownSocket), filepath.Dir(s.Path()), s.Path(), "4242.sock")
		},
	} {
		if err := errors.Join(os.Remove(ownSocket), swap()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f := found[0]
		if f.Ask(ctx); f.Process != nil || f.Problem == "" {
			t.Errorf("%s was taken for the process of user %d: %+v", name, f.UID, f)
		}
		if _, err := f.Client().Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}); !errors.Is(err, ops.ErrUnreachable) || strings.Contains(err.Error(), "may yet") {
			t.Errorf("%s: an order: %v, want that it was not sent", name, err)
		}
	}
}

// replaceFolder replaces a folder by a link to another one, in which the
// socket has the same name.
func replaceFolder(dir, other, socket, name string) error {
	return errors.Join(os.Link(socket, filepath.Join(other, name)), os.RemoveAll(dir), os.Symlink(other, dir))
}

// A hostile process makes a look at all processes neither slow nor large.
func TestHostileProcessesAreBounded(t *testing.T) {
	long(t)
	needsRoot(t)
	for _, kind := range []string{"bomb", "header bomb", "drip", "hang", "redirect", "long name", "long error"} {
		t.Run(kind, func(t *testing.T) {
			tmp := tempOfAll(t)
			startFake(t, nobody, filepath.Join(tmp, "switchgear-65534/switchgear/4242.sock"), "OPS_TEST_FAKE="+kind)
			s, err := planeOf(t, shop(t), ops.Options{Service: "honest", RuntimeDir: filepath.Join(tmp, "switchgear-0")}).Listen()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			found := under(t, tmp, ops.Processes(ctx))
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if read := after.TotalAlloc - before.TotalAlloc; took > 5*time.Second || read > 10<<20 {
				t.Errorf("it took %s and %d bytes, want two seconds and little", took, read)
			}
			honest := false
			for _, f := range found {
				if f.Process != nil && f.Process.Service == "honest" {
					honest = true
					continue
				}
				if size := len(fmt.Sprint(f, f.Process)); size > 2000 {
					t.Errorf("%d bytes are shown of the hostile one", size)
				}
			}
			if !honest {
				t.Errorf("the honest process is missing: %+v", found)
			}
		})
	}
}

// However many sockets a user creates, and however long each of them hangs,
// the processes of other users are seen.
func TestManyHostileSockets(t *testing.T) {
	long(t)
	tmp := tempOfAll(t)
	first := filepath.Join(tmp, "switchgear-65534/switchgear/1.sock")
	startFake(t, nobody, first, "OPS_TEST_FAKE=hang")
	for i := range 5000 {
		if err := os.Link(first, filepath.Join(filepath.Dir(first), strconv.Itoa(10_000+i)+".sock")); err != nil {
			t.Fatal(err)
		}
	}
	s, err := planeOf(t, shop(t), ops.Options{Service: "honest", RuntimeDir: filepath.Join(tmp, "switchgear-0")}).Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	found := under(t, tmp, ops.Processes(ctx))
	honest := false
	for _, f := range found {
		honest = honest || f.Process != nil && f.Process.Service == "honest"
	}
	if took := time.Since(began); !honest || took > 6*time.Second || len(found) > 1000 {
		t.Errorf("after %s: honest process seen: %t, %d sockets in all", took, honest, len(found))
	}
}

func TestProcessesThatLiveAndDie(t *testing.T) {
	dir := t.TempDir()
	start := func() (*exec.Cmd, string) {
		c := child(t, "listener", "SWITCHGEAR_RUNTIME_DIR="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		path, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(path, err)
		}
		return c, strings.TrimSpace(path)
	}
	alive, alivePath := start()
	killed, killedPath := start()
	stopped, stoppedPath := start()
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(stopped.Process.Pid, nil, syscall.WUNTRACED, nil); err != nil { // until it has stopped
		t.Fatal(err)
	}
	began := time.Now()
	found := map[string]ops.Found{}
	for _, f := range ops.Processes(ctx, dir) {
		found[f.Path] = f
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
	if f := found[alivePath]; f.Process == nil || f.Process.PID != alive.Process.Pid || f.PID != alive.Process.Pid || f.Process.Service != "child" {
		t.Errorf("the living: %+v", f)
	}
	if f := found[killedPath]; !f.Dead || f.PID != killed.Process.Pid || f.Problem != "the process is gone and left its socket" {
		t.Errorf("the killed: %+v", f)
	}
	if f := found[stoppedPath]; f.Dead || f.Process != nil || f.Problem != "the process is stopped" {
		t.Errorf("the stopped: %+v", f)
	}
	c, err := ops.NewClient(stoppedPath)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.Order(soon, ops.Order{ID: "x", Verb: breaker.VerbOpen, Actor: "ana"}); !errors.Is(err, ops.ErrUnreachable) || !strings.Contains(err.Error(), "may yet be carried out") {
		t.Errorf("an order for the stopped: %v", err)
	}
	if _, path := start(); path == killedPath {
		t.Skip("the kernel gave the same number again")
	}
	if _, err := os.Lstat(killedPath); !errors.Is(err, os.ErrNotExist) {
		t.Error("a new process left the dead one's socket")
	}
	if _, err := os.Lstat(stoppedPath); err != nil {
		t.Errorf("a new process took a stopped one's socket: %v", err)
	}
}
