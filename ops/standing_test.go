package ops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

var forceOpen = ops.Order{ID: "payments", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", NoExpiry: true}

// A damaged file is one clear error. Nothing of it is applied, it is left as
// it is, and orders say that they will not outlive a restart until it is moved
// away.
func TestDamagedStandingFile(t *testing.T) {
	const good = `{"version":1,"overrides":[{"ids":["payments"],"state":"forced-open","actor":"ana","since":"2026-01-01T00:00:00Z"}],"settings":[]}`
	for _, c := range []struct{ text, want string }{
		{"", "ends after 0 bytes, want a whole JSON object"},
		{good[:len(good)-1], "ends after"},
		{good + "}", "has more after its JSON object"},
		{good + good, "has more after its JSON object"},
		{strings.Replace(good, "1,", "2,", 1), "has version 2, want 1"},
		{strings.Replace(good, `"ids":["payments"],`, "", 1), "override 1 has no ids"},
		{strings.Replace(good, "forced-open", "open", 1), "override 1 has state open, want forced-open or forced-closed"},
		{strings.Replace(good, "forced-open", "ajar", 1), "ajar"},
		{strings.Replace(good, "reason", "why", 1), ""},
		{strings.Replace(good, "actor", "who", 1), `unknown field "who"`},
		{strings.Replace(good, "[]", `[{"id":"payments","key":"","value":1,"actor":"a","since":"2026-01-01T00:00:00Z"}]`, 1), "setting 1 has no key and value"},
		{strings.Replace(good, "[]", `[{"key":"fail_max","value":1,"actor":"a","since":"2026-01-01T00:00:00Z"}]`, 1), "setting 1 has no id"},
		{"\x00\x00\x00\x00", "invalid character"},
	} {
		path := filepath.Join(t.TempDir(), "standing")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		m := shop(t)
		var reported []error
		p := ops.New(m, ops.Options{Standing: path, StandingFailed: func(err error) { reported = append(reported, err) }})
		b, _ := m.Lookup("payments")
		if c.want == "" {
			if len(reported) > 0 || b.State() != breaker.ForcedOpen {
				t.Errorf("%s: %v, %s", c.text, reported, b.State())
			}
			p.Close()
			continue
		}
		if len(reported) != 1 || !strings.Contains(reported[0].Error(), "standing orders "+path+": ") || !strings.Contains(reported[0].Error(), c.want) {
			t.Errorf("%.80q: %v, want one error with %q", c.text, reported, c.want)
		}
		if b.State() != breaker.Closed {
			t.Errorf("%.80q: payments is %s", c.text, b.State())
		}
		order := forceOpen
		order.ID = "search"
		if r, err := p.Do(order, program); err != nil || r.Touched != 1 || !strings.Contains(r.StandingError, "until the file is moved away") {
			t.Errorf("an order: %q, %v", r.StandingError, err)
		}
		if text, _ := os.ReadFile(path); string(text) != c.text {
			t.Errorf("%.80q was overwritten", c.text)
		}
		if err := os.Rename(path, path+".bad"); err != nil {
			t.Fatal(err)
		}
		if r, err := p.Do(order, program); err != nil || r.StandingError != "" || p.Process().StandingError != "" {
			t.Errorf("moved away: %q, %v", r.StandingError, err)
		}
		p.Close()
	}
}

// A user who may write the file may give orders.
func TestStandingFileThatOthersMayWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "standing")
	if err := os.WriteFile(path, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	var got error
	planeOf(t, shop(t), ops.Options{Standing: path, StandingFailed: func(err error) { got = err }})
	if got == nil || !strings.Contains(got.Error(), "has mode 0666, want 0600") {
		t.Error(got)
	}
}

// A missing folder is reported at once, and orders are carried out
// nevertheless.
func TestStandingFileThatCannotBeWritten(t *testing.T) {
	var reported []error
	m := shop(t)
	p := planeOf(t, m, ops.Options{
		Standing:       filepath.Join(t.TempDir(), "no/such/standing"),
		StandingFailed: func(err error) { reported = append(reported, err) },
	})
	if len(reported) != 1 || !errors.Is(reported[0], os.ErrNotExist) {
		t.Errorf("reported: %v", reported)
	}
	r, err := p.Do(forceOpen, program)
	if b, _ := m.Lookup("payments"); err != nil || r.StandingError == "" || b.State() != breaker.ForcedOpen {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = p.Do(ops.Order{ID: "search", Verb: breaker.VerbOpen, Actor: "ana"}, program)
	if err != nil || r.StandingError != "" {
		t.Errorf("an order that does not stand: %q, %v", r.StandingError, err)
	}
}

// An order that replaces a kept one never leaves the file without either: the
// process may be killed at any moment. The order has many breakers, so that the
// file is written while it is carried out.
func TestStandingFileAlwaysHoldsAnAnsweredOrder(t *testing.T) {
	const keys = 500
	path := filepath.Join(t.TempDir(), "standing")
	m := breaker.NewManager(breaker.Settings{})
	set := breaker.SetOf[int](m, "tenants")
	for k := range keys {
		set.Breaker(k)
	}
	p := planeOf(t, m, ops.Options{Standing: path})
	order := forceOpen
	order.ID, order.Confirm = "tenants/*", keys
	give := func(reason string) {
		order.Reason = reason
		if r, err := p.Do(order, program); err != nil || r.StandingError != "" || r.Touched != keys {
			t.Fatal(r.Touched, err, r.StandingError)
		}
	}
	give("the first")
	stop, missing := make(chan struct{}), make(chan int, 1)
	go func() {
		defer close(missing)
		for {
			text, err := os.ReadFile(path)
			if n := strings.Count(string(text), `"tenants/`); err != nil || n != keys {
				missing <- n
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for n := range 20 {
		give(fmt.Sprint(n))
	}
	close(stop)
	if n, ok := <-missing; ok {
		t.Errorf("the file held %d overrides at one moment, want %d", n, keys)
	}
}

// An override that expired, or that the program lifted, does not come back.
func TestStandingForgetsWhatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "standing")
		m := shop(t)
		p := ops.New(m, ops.Options{Standing: path})
		for _, id := range []string{"payments", "search", "tenants/a"} {
			order := forceOpen
			order.ID = id
			if order.ID == "payments" {
				order.NoExpiry, order.For = false, ops.Duration(time.Minute)
			}
			if r, err := p.Do(order, program); err != nil || r.StandingError != "" {
				t.Fatal(r, err)
			}
		}
		time.Sleep(2 * time.Minute)
		b, _ := m.Lookup("search")
		if err := b.Release(breaker.Order{Actor: "program"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		m = shop(t)
		p = ops.New(m, ops.Options{Standing: path})
		defer p.Close()
		for id, want := range map[string]breaker.State{"payments": breaker.Closed, "search": breaker.Closed, "tenants/a": breaker.ForcedOpen} {
			if b, _ := m.Lookup(id); b.State() != want {
				t.Errorf("%s is %s, want %s", id, b.State(), want)
			}
		}
		if lost := p.Process().LostOrders; len(lost) > 0 {
			t.Errorf("lost: %+v", lost)
		}
	})
}

// Every id comes back as it was, whatever bytes it contains.
func TestStandingIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "standing")
	ids := []string{"tenants/\xff\xfe", "tenants/a/b", "tenants/ü\u202e", "tenants/\n\x00", "tenants/<script>"}
	made := func() *breaker.Manager {
		m := shop(t)
		return m
	}
	m := made()
	set := breaker.SetOf[string](m, "tenants")
	for _, id := range ids {
		set.Breaker(strings.TrimPrefix(id, "tenants/"))
	}
	p := ops.New(m, ops.Options{Standing: path})
	r, err := p.Do(ops.Order{ID: "tenants/*", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "x", For: ops.Duration(time.Hour), Confirm: 100}, program)
	if err != nil || r.StandingError != "" {
		t.Fatal(r.StandingError, err)
	}
	if _, err := p.Do(ops.Order{ID: ids[0], Verb: ops.VerbSet, Actor: "ana", Settings: json.RawMessage(`{"fail_max": 9}`)}, program); err != nil {
		t.Fatal(err)
	}
	p.Close()
	m = made()
	p = planeOf(t, m, ops.Options{Standing: path})
	for _, id := range ids {
		if b, err := m.Lookup(id); err != nil || b.State() != breaker.ForcedOpen {
			t.Errorf("%q: %v", id, err)
		}
	}
	if b, _ := m.Lookup(ids[0]); b.Settings().FailMax != 9 {
		t.Errorf("%q: %s", ids[0], b.Settings())
	}
	if n := len(p.Process().LostOrders); n > 0 {
		t.Errorf("%d lost", n)
	}
}

// What is kept is what was carried out last, however many orders are given at
// once.
func TestStandingKeepsTheLastOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "standing")
	m := shop(t)
	p := ops.New(m, ops.Options{Standing: path})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				order := forceOpen
				order.Reason = fmt.Sprint(i, j)
				if (i+j)%3 == 0 {
					order.Verb = breaker.VerbForceClosed
				}
				if _, err := p.Do(order, program); err != nil {
					t.Error(err)
				}
				_, err := p.Do(ops.Order{ID: "payments", Verb: ops.VerbSet, Actor: "ana", Settings: json.RawMessage(fmt.Sprintf(`{"fail_max": %d}`, 1+10*i+j))}, program)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	b, _ := m.Lookup("payments")
	was := b.Status()
	p.Close()
	m = shop(t)
	planeOf(t, m, ops.Options{Standing: path})
	b, _ = m.Lookup("payments")
	if is := b.Status(); is.State != was.State || is.Override.Reason != was.Override.Reason || is.Settings != was.Settings {
		t.Errorf("%+v, %s\nwant %+v, %s", is.Override, is.Settings, was.Override, was.Settings)
	}
}

// What of a fleet's orders stands is kept by the fleet.
func TestStandingLeavesFleetOrdersToTheFleet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "standing")
	do := func(p *ops.Plane, o ops.Order, by string) {
		t.Helper()
		if _, err := p.Do(o, ops.Peer{Transport: by}); err != nil {
			t.Fatal(err)
		}
	}
	settings := ops.Order{ID: "payments", Verb: ops.VerbSet, Actor: "ana", Settings: json.RawMessage(`{"fail_max": 9}`)}
	for _, test := range []struct {
		name string
		give func(*ops.Plane)
		want breaker.State
	}{
		{"of the process alone", func(p *ops.Plane) { do(p, forceOpen, "http") }, breaker.ForcedOpen},
		{"of the fleet", func(p *ops.Plane) { do(p, forceOpen, ops.TransportFleet); do(p, settings, ops.TransportFleet) }, breaker.Closed},
		{"of the fleet, which replaces that of the process", func(p *ops.Plane) { do(p, forceOpen, "http"); do(p, forceOpen, ops.TransportFleet) }, breaker.Closed},
	} {
		os.Remove(path)
		p := ops.New(shop(t), ops.Options{Standing: path})
		test.give(p)
		p.Close()
		m := shop(t)
		p = ops.New(m, ops.Options{Standing: path})
		b, _ := m.Lookup("payments")
		if b.State() != test.want || b.Settings().FailMax == 9 {
			t.Errorf("%s: %s with fail_max %d after a restart, want %s and the program's", test.name, b.State(), b.Settings().FailMax, test.want)
		}
		p.Close()
	}
}

// A process that starts before the old one has ended applies the file, and
// says that it cannot write it yet.
func TestStandingFileOfTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "standing")
	old := ops.New(shop(t), ops.Options{Standing: path})
	if _, err := old.Do(forceOpen, program); err != nil {
		t.Fatal(err)
	}
	m := shop(t)
	p := planeOf(t, m, ops.Options{Standing: path})
	if b, _ := m.Lookup("payments"); b.State() != breaker.ForcedOpen {
		t.Errorf("payments is %s", b.State())
	}
	order := forceOpen
	order.ID = "search"
	if r, err := p.Do(order, program); err != nil || !strings.Contains(r.StandingError, "in use by another process") {
		t.Errorf("%q, %v", r.StandingError, err)
	}
	old.Close()
	order.ID = "tenants/a"
	if r, err := p.Do(order, program); err != nil || r.StandingError != "" {
		t.Errorf("%q, %v", r.StandingError, err)
	}
}

// A hundred thousand keys come back; beyond that the receipt says how many do not.
func TestStandingOfManyKeys(t *testing.T) {
	long(t)
	path := filepath.Join(t.TempDir(), "standing")
	const many = 100_010
	m := breaker.NewManager(breaker.Settings{})
	set, err := breaker.CreateSet[int](m, "user", breaker.Settings{}, breaker.SetOptions{MaxKeys: 2 * many, MaxEvidence: 2 * many})
	if err != nil {
		t.Fatal(err)
	}
	for i := range many {
		set.Breaker(i)
	}
	p := ops.New(m, ops.Options{Standing: path})
	r, err := p.Do(ops.Order{ID: "user/*", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "x", NoExpiry: true, Confirm: many}, program)
	if err != nil || r.Touched != many || r.StandingError != "10 of 100010 breakers are left out: at most 100000 are kept" && !strings.Contains(r.StandingError, "not written after") {
		t.Fatalf("%d, %q, %v", r.Touched, r.StandingError, err)
	}
	p.Close()
	info, err := os.Stat(path)
	if err != nil || info.Size() > 4<<20 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	m = breaker.NewManager(breaker.Settings{})
	p = planeOf(t, m, ops.Options{Standing: path})
	if _, err := breaker.CreateSet[int](m, "user", breaker.Settings{}, breaker.SetOptions{MaxKeys: 2 * many, MaxEvidence: 2 * many}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range m.Breakers() {
		if b.State() == breaker.ForcedOpen {
			n++
		}
	}
	if n != 100_000 || p.Process().StandingWaiting != 0 {
		t.Errorf("%d are forced open again, %d wait", n, p.Process().StandingWaiting)
	}
}
