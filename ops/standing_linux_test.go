package ops_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// playStanding is a program whose orders outlive it: it has one breaker from
// the start, and creates a breaker and a set when its plane serves.
func playStanding() {
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	p := ops.New(m, ops.Options{Standing: os.Getenv("OPS_TEST_STANDING"), Audit: os.Getenv("OPS_TEST_AUDIT")})
	s, err := p.Listen()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	m.Breaker("late")
	if os.Getenv("OPS_TEST_KEYS") == "int" {
		breaker.SetOf[int](m, "tenants")
	} else {
		breaker.SetOf[string](m, "tenants").Breaker("acme")
	}
	fmt.Println(s.Path())
	select {}
}

// standingProgram is that program as a process.
type standingProgram struct {
	*ops.Client
	cmd *exec.Cmd
}

func startStanding(t *testing.T, dir string, env ...string) standingProgram {
	t.Helper()
	c := child(t, "standing", append(env,
		"OPS_TEST_STANDING="+dir+"/standing", "OPS_TEST_AUDIT="+dir+"/audit", "SWITCHGEAR_RUNTIME_DIR="+dir)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client, err := ops.NewClient(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	p := standingProgram{client, c}
	t.Cleanup(func() { p.kill() })
	return p
}

func (p standingProgram) kill() {
	p.Close()
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}

func (p standingProgram) must(t *testing.T, o ops.Order) ops.Receipt {
	t.Helper()
	o.Actor = "ana"
	r, err := p.Order(ctx, o)
	if err != nil || r.StandingError != "" {
		t.Fatalf("%s %s: %v, %q", o.Verb, o.ID, err, r.StandingError)
	}
	return r
}

func (p standingProgram) status(t *testing.T, id string) ops.Status {
	t.Helper()
	all, err := p.Status(ctx, ops.StatusQuery{IDs: []string{id}, Full: true})
	if err != nil || len(all) != 1 {
		t.Fatalf("status of %s: %v, %v", id, all, err)
	}
	return all[0]
}

// auditNotices returns the notices in an audit log, by id.
func auditNotices(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r, err := ops.VerifyAudit(f); err != nil {
		t.Errorf("%v, %+v", err, r)
	}
	_, _ = f.Seek(0, 0)
	out := map[string]string{}
	for e, err := range ops.ReadAudit(f) {
		if err != nil {
			t.Error(err)
		}
		if e.Notice != "" {
			out[e.Order.ID] = e.Notice
		}
	}
	return out
}

// Overrides and settings are applied again after a SIGKILL, with who, why and
// until when: for a breaker that exists from the start, for those that are
// created later, and for keys.
func TestStandingOutlivesKill(t *testing.T) {
	dir := t.TempDir()
	p := startStanding(t, dir)
	for _, o := range []ops.Order{
		{ID: "payments", Verb: breaker.VerbForceOpen, Reason: "INC-42", For: ops.Duration(time.Hour)},
		{ID: "late", Verb: breaker.VerbForceClosed, Reason: "INC-43", NoExpiry: true},
		{ID: "late", Verb: ops.VerbSet, Reason: "too nervous", Settings: json.RawMessage(`{"fail_max": 10}`)},
		{ID: "late", Verb: ops.VerbSet, Settings: json.RawMessage(`{"reset_timeout": "5s"}`)},
		{ID: "tenants/acme", Verb: breaker.VerbForceOpen, Reason: "abuse", NoExpiry: true},
		{ID: "tenants/acme", Verb: ops.VerbSet, Settings: json.RawMessage(`{"fail_max": 3}`)},
		{ID: "tenants/*", Verb: ops.VerbSet, Confirm: 1, Settings: json.RawMessage(`{"fail_max": 4, "failure_rate": 0.5}`)},
	} {
		p.must(t, o)
	}
	expires := p.status(t, "payments").Override.Expires
	p.kill()
	if info, err := os.Stat(dir + "/standing"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}

	p = startStanding(t, dir)
	s := p.status(t, "payments")
	if s.State != breaker.ForcedOpen || s.Override.Actor != "ana" || s.Override.Reason != "INC-42" || s.Override.Expires.Sub(expires).Abs() > time.Second {
		t.Errorf("payments: %s, %+v, want it to end at %s", s.State, s.Override, expires)
	}
	s = p.status(t, "late")
	if s.State != breaker.ForcedClosed || s.Override.Reason != "INC-43" || !s.Override.Expires.IsZero() || s.Settings.FailMax != 10 || s.Settings.ResetTimeout != 5*time.Second {
		t.Errorf("late: %+v, %+v, %s", s.State, s.Override, s.Settings)
	}
	s = p.status(t, "tenants/acme")
	if s.State != breaker.ForcedOpen || s.Override.Reason != "abuse" || s.Settings.FailMax != 3 || s.Settings.FailureRate != 0.5 {
		t.Errorf("acme: %s, %+v, %s", s.State, s.Override, s.Settings)
	}
	if x, err := p.Process(ctx); err != nil || !x.Standing || x.StandingError != "" || x.StandingWaiting != 0 || len(x.LostOrders) != 0 {
		t.Errorf("process: %+v, %v", x, err)
	}
	var notices map[string]string
	eventually(t, "four notices in the audit log", func() bool {
		notices = auditNotices(t, dir+"/audit")
		return len(notices) == 4
	})
	for _, id := range []string{"payments", "late", "tenants/*", "tenants/acme"} {
		if !strings.Contains(notices[id], "by ana at ") || !strings.Contains(notices[id], "is applied again") {
			t.Errorf("audit log: %s: %q", id, notices[id])
		}
	}

	// What is lifted does not come back, nor what a restart has brought back
	// before.
	p.must(t, ops.Order{ID: "payments", Verb: breaker.VerbRelease})
	p.must(t, ops.Order{ID: "late", Verb: breaker.VerbClose})
	p.kill()
	p = startStanding(t, dir)
	for _, id := range []string{"payments", "late"} {
		if s := p.status(t, id); s.State != breaker.Closed {
			t.Errorf("%s is %s, and was released", id, s.State)
		}
	}
	if s := p.status(t, "tenants/acme"); s.State != breaker.ForcedOpen {
		t.Errorf("acme is %s after the second restart", s.State)
	}
}

// An override that expired while the process was down, a setting that no
// longer exists, and keys of another type are reported. The rest is applied.
func TestStandingOrdersThatAreLost(t *testing.T) {
	dir := t.TempDir()
	const old = `{"version":1,
"overrides":[
 {"ids":["payments"],"state":"forced-open","actor":"ana","reason":"INC-42","since":"2026-01-01T00:00:00Z","expires":"2026-01-01T01:00:00Z"},
 {"ids":["tenants/acme","tenants/7","tenants/initech"],"state":"forced-open","actor":"bo","reason":"abuse","since":"2026-01-01T00:00:00Z"},
 {"ids":["never made"],"state":"forced-closed","actor":"bo","since":"2026-01-01T00:00:00Z"}],
"settings":[
 {"id":"late","key":"fail_maximum","value":3,"actor":"cy","since":"2026-01-01T00:00:00Z"},
 {"id":"late","key":"fail_max","value":7,"actor":"cy","reason":"noise","since":"2026-01-01T00:00:00Z"},
 {"id":"payments","key":"reset_timeout","value":"-5s","actor":"cy","since":"2026-01-01T00:00:00Z"},
 {"id":"tenants","key":"fail_max","value":7,"actor":"cy","since":"2026-01-01T00:00:00Z"}]}`
	if err := os.WriteFile(dir+"/standing", []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startStanding(t, dir, "OPS_TEST_KEYS=int")
	if s := p.status(t, "payments"); s.State != breaker.Closed || s.Settings.ResetTimeout != time.Minute {
		t.Errorf("payments: %s, %s", s.State, s.Settings)
	}
	if s := p.status(t, "late"); s.Settings.FailMax != 7 {
		t.Errorf("late: %s", s.Settings)
	}
	if s := p.status(t, "tenants/7"); s.State != breaker.ForcedOpen {
		t.Errorf("tenants/7: %s", s.State)
	}
	x, err := p.Process(ctx)
	if err != nil || x.StandingWaiting != 1 {
		t.Errorf("%d wait, %v", x.StandingWaiting, err)
	}
	var received []string
	for _, l := range x.LostOrders {
		received = append(received, l.ID+": "+l.Text)
	}
	all := strings.Join(received, "\n")
	for _, want := range []string{
		`payments: force-open by ana at 2026-01-01T00:00:00Z ("INC-42") is not applied again: it ended at 2026-01-01T01:00:00Z, while the process was down`,
		`late: set {"fail_maximum":3} by cy at 2026-01-01T00:00:00Z is lost: invalid settings: unknown key "fail_maximum", did you mean "fail_max"?`,
		`payments: set {"reset_timeout":"-5s"} by cy`,
		`tenants: set {"fail_max":7} by cy at 2026-01-01T00:00:00Z is lost: tenants is not a breaker any more`,
		`tenants/*: force-open by bo at 2026-01-01T00:00:00Z ("abuse") is lost: "acme" is not the text of a key of tenants any more, with 2 keys`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not reported: %s\nin:\n%s", want, all)
		}
	}
	eventually(t, "the notices in the audit log", func() bool {
		notices := auditNotices(t, dir+"/audit")
		return strings.Contains(notices["late"], "applied again") && strings.Contains(notices["payments"], "not applied again") && strings.Contains(notices["tenants/*"], "lost")
	})
	eventually(t, "a file without what was lost", func() bool {
		text, err := os.ReadFile(dir + "/standing")
		return err == nil && !strings.Contains(string(text), "payments") && !strings.Contains(string(text), "acme")
	})
	p.kill()
	p = startStanding(t, dir, "OPS_TEST_KEYS=int")
	if x, err := p.Process(ctx); err != nil || len(x.LostOrders) != 0 || x.StandingWaiting != 1 {
		t.Errorf("the next start: %+v, %v, want what was lost reported once, and what waits still waiting", x.LostOrders, err)
	}
}

// The process is killed while it carries out orders as fast as they come. The
// file is complete each time, and has every order that was answered.
func TestStandingSurvivesKillsAtAnyMoment(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	p := startStanding(t, dir)
	last := 0 // that was answered
	for round := range rounds {
		gone := time.AfterFunc(time.Duration(20+round*7)*time.Millisecond, func() { _ = p.cmd.Process.Kill() })
		for n := last + 1; ; n++ {
			r, err := p.Order(ctx, ops.Order{ID: "tenants/acme", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: fmt.Sprint(n), NoExpiry: true})
			if err != nil {
				break
			}
			if r.StandingError != "" {
				t.Fatal(r.StandingError)
			}
			last = n
		}
		gone.Stop()
		p.kill()
		p = startStanding(t, dir)
		if x, err := p.Process(ctx); err != nil || x.StandingError != "" || len(x.LostOrders) > 0 {
			t.Fatalf("round %d: %q, %+v, %v", round, x.StandingError, x.LostOrders, err)
		}
		if last == 0 {
			continue // it was killed before it answered
		}
		o := p.status(t, "tenants/acme").Override
		if o == nil || o.Reason != fmt.Sprint(last) && o.Reason != fmt.Sprint(last+1) {
			t.Fatalf("round %d: %+v, want order %d, or the next one that was not answered", round, o, last)
		}
	}
	if last == 0 {
		t.Error("no order was answered")
	}
}

// A full disk does not prevent an order: its receipt says that it will not
// outlive a restart. The file stays as it was, and is written when there is
// room again.
func TestStandingOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("SKIP: cannot mount a small file system: %v", err)
	}
	defer func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) }()
	p := ops.New(shop(t), ops.Options{Standing: small + "/standing"})
	order := ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", NoExpiry: true}
	if r, err := p.Do(order, program); err != nil || r.StandingError != "" {
		t.Fatal(r, err)
	}
	was, _ := os.ReadFile(small + "/standing")
	filler, err := os.Create(small + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 512))
	}
	filler.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	order.ID = "search"
	r, err := p.Do(order, program)
	if err != nil || !strings.Contains(r.StandingError, "no space left") {
		t.Errorf("%q, %v", r.StandingError, err)
	}
	if x := p.Process(); !strings.Contains(x.StandingError, "no space left") {
		t.Errorf("process: %q", x.StandingError)
	}
	if is, err := os.ReadFile(small + "/standing"); err != nil || string(is) != string(was) {
		t.Errorf("the file: %s, %v", is, err)
	}
	if err := os.Remove(small + "/filler"); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Do(ops.Order{ID: "tenants/a", Verb: breaker.VerbForceOpen, Actor: "bo", Reason: "x", NoExpiry: true}, program); err != nil || r.StandingError != "" || p.Process().StandingError != "" {
		t.Errorf("with room again: %+v, %v", r, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	m := shop(t)
	planeOf(t, m, ops.Options{Standing: small + "/standing"})
	for _, id := range []string{"payments", "search", "tenants/a"} {
		if b, _ := m.Lookup(id); b.State() != breaker.ForcedOpen {
			t.Errorf("%s is %s after the restart", id, b.State())
		}
	}
}
