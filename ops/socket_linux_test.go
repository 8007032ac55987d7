package ops_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestKernelReportsThePeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	p := audited(t, path)
	s, err := listenAt(t, p)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := ops.NewClient(s.Path())
	if _, err := c.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "another user"}); err != nil {
		t.Fatal(err)
	}
	f, _ := os.Open(path)
	defer f.Close()
	for e, err := range ops.ReadAudit(f) {
		if e.Start {
			continue
		}
		if err != nil || e.Peer.UID == nil || *e.Peer.UID != os.Getuid() || e.Peer.PID != os.Getpid() || e.Order.Actor != "another user" {
			t.Errorf("entry = %+v, %v, want the kernel's word beside the claim", e, err)
		}
	}
}

func listenAt(t *testing.T, p *ops.Plane) (*ops.Server, error) {
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", t.TempDir())
	s, err := p.Listen()
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// Even if the folder and the socket are accessible by mistake, another user
// gets no answer.
func TestOtherUsersGetNoAnswer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root, to become another user")
	}
	p := ops.New(shop(t), ops.Options{})
	defer p.Close()
	s, err := listenAt(t, p)
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(s.Path()); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(filepath.Dir(s.Path()), "knock") // where another user may run it
	if err := os.WriteFile(exe, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	knock := func(uid uint32) string {
		c := exec.Command(exe)
		c.Dir = "/"
		c.Env = []string{"OPS_TEST_AS=stranger", "OPS_TEST_SOCKET=" + s.Path()}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := knock(0); !strings.Contains(got, "200 OK") {
		t.Errorf("root got %s", got)
	}
	if got := knock(65534); !strings.Contains(got, `connected, answer ""`) {
		t.Errorf("a stranger got %s", got)
	}
}
