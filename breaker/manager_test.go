package breaker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestManagerListenerReceivesAllBreakers(t *testing.T) {
	var m Manager
	var mu sync.Mutex
	var got []string
	early := m.Breaker("early")
	tenants := SetOf[string](&m, "tenants")
	old := tenants.Breaker("old")
	remove := m.AddListener(Listener{StateChange: func(b *Breaker, tr Transition) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, b.ID()+" "+tr.To.String())
	}})
	late := m.Breaker("late")
	lateSet := SetOf[int](&m, "late-set")
	for _, b := range []*Breaker{early, old, tenants.Breaker("new"), late, lateSet.Breaker(7)} {
		b.Open(Order{})
	}
	want := []string{"early open", "tenants/old open", "tenants/new open", "late open", "late-set/7 open"}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	remove()
	remove() // does no harm
	early.Close(Order{})
	lateSet.Breaker(8).Open(Order{})
	m.Breaker("later").Open(Order{})
	if len(got) != len(want) {
		t.Errorf("heard %q after it was removed", got[len(want):])
	}
}

func TestManagerCallListenerAppliesToLaterBreakers(t *testing.T) {
	var m Manager
	n := 0
	m.AddListener(Listener{Success: func(*Breaker) { n++ }})
	_ = m.Breaker("a").Do(context.Background(), nop)
	_ = SetOf[string](&m, "s").Do(context.Background(), "k", nop)
	if n != 2 {
		t.Errorf("heard %d successes, want 2", n)
	}
}

func TestStateChangeListenerCostsNoCall(t *testing.T) {
	var m Manager
	m.AddListener(Listener{StateChange: func(*Breaker, Transition) {}})
	b := m.Breaker("a")
	if w := b.load(); w&flagWatched != 0 {
		t.Errorf("word is %x: calls take the slow path for a listener of transitions", w)
	}
	s, err := CreateSet[string](&m, "s", Settings{}, SetOptions{MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "b", "c"} {
		_ = s.Do(context.Background(), k, nop)
	}
	if n := len(s.Status()); n != 1 {
		t.Errorf("a full set remembers %d healthy keys, want 1: an unknown key that succeeds leaves nothing behind", n)
	}
}

func TestUpdateIf(t *testing.T) {
	b := New("a", Settings{})
	r, err := b.UpdateIf(Settings{FailMax: 9}, b.Status().Version)
	if err != nil || r.From != 1 || r.Version != 2 || r.Before != Closed || r.After != Closed || r.ID != "a" {
		t.Errorf("UpdateIf = %+v, %v, want from version 1 to 2", r, err)
	}
	if _, err := b.UpdateIf(Settings{FailMax: 7}, 1); !errors.Is(err, ErrVersion) {
		t.Errorf("UpdateIf of an old version = %v, want ErrVersion", err)
	}
	if _, err := b.UpdateIf(Settings{FailMax: 5_000_000}, 2); !errors.Is(err, ErrSettings) {
		t.Errorf("UpdateIf with bad settings = %v, want ErrSettings", err)
	}
	if got := b.Settings().FailMax; got != 9 {
		t.Errorf("FailMax is %d, want 9: refused updates change nothing", got)
	}
	if r, err := b.UpdateIf(b.Settings(), 0); err != nil || r.Version != 2 {
		t.Errorf("UpdateIf to what it is = %+v, %v, want version 2 kept", r, err)
	}
}

func TestLookupSet(t *testing.T) {
	var m Manager
	m.Breaker("plain")
	SetOf[int](&m, "tenants").Breaker(3)
	s, err := m.LookupSet("tenants")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(Settings{ResetTimeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	if got := s.Status(); len(got) != 1 || got[0].Settings.ResetTimeout != time.Second {
		t.Errorf("Status = %+v, want key 3 with the new settings", got)
	}
	if got := s.Breakers(); len(got) != 1 || got[0].ID() != "tenants/3" {
		t.Errorf("Breakers = %v, want tenants/3", got)
	}
	if n := len(m.Breakers()); n != 2 {
		t.Errorf("the manager has %d breakers, want 2: plain and tenants/3", n)
	}
	for _, name := range []string{"plain", "tenant", "tenants/3", ""} {
		if _, err := m.LookupSet(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("LookupSet(%q) = %v, want ErrUnknown", name, err)
		}
	}
	var unknown *UnknownError
	if _, err := m.LookupSet("tenant"); !errors.As(err, &unknown) || len(unknown.Near) != 1 || unknown.Near[0] != "tenants" {
		t.Errorf("LookupSet(tenant) = %v, want tenants named as near", err)
	}
}

// Members of a manager share the clock that times calls, and its default
// settings, compiled once.
func TestManagerSharesWhatItCan(t *testing.T) {
	m := NewManager(Settings{FailMax: 7})
	a, b, s := m.Breaker("a"), m.Breaker("b"), SetOf[int](m, "s").Breaker(1)
	if a.cfg.program != b.cfg.program || a.cfg.program != a.settings() || a.cfg.fine != b.cfg.fine || a.cfg.fine != s.cfg.fine || a.settings() != b.settings() || a.settings() != s.settings() {
		t.Error("clocks or settings of their own")
	}
}

func TestManagerLen(t *testing.T) {
	var m Manager
	if n := m.Len(); n != 0 {
		t.Errorf("Len of nothing is %d", n)
	}
	m.Breaker("alone")
	set, err := CreateSet[int](&m, "keys", Settings{}, SetOptions{MaxKeys: 10, MaxEvidence: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // more than it remembers, and more in evidence than it may hold
		set.Breaker(i).Open(Order{})
		if got, want := m.Len(), len(m.Breakers()); got != want {
			t.Fatalf("after %d keys Len is %d, and there are %d breakers", i+1, got, want)
		}
	}
}

func TestManagerGetsOrCreates(t *testing.T) {
	m := NewManager(Settings{FailMax: 7})
	if first, again := m.Breaker("db"), m.Breaker("db"); first != again {
		t.Error("one name gave two breakers")
	}
	if got := m.Breaker("db").Settings().FailMax; got != 7 {
		t.Errorf("FailMax %d, want the default's 7", got)
	}
	own, err := m.Create("queue", Settings{FailMax: 2})
	if err != nil || own.Settings().FailMax != 2 || m.Breaker("queue") != own {
		t.Errorf("Create gave %v, %v", own, err)
	}
	for _, test := range []struct {
		name string
		s    Settings
		want error
	}{
		{"db", Settings{}, ErrDuplicate},
		{"a/b", Settings{}, ErrName},
		{"", Settings{}, ErrName},
		{"new", Settings{FailureRate: 3}, ErrSettings},
	} {
		if _, err := m.Create(test.name, test.s); !errors.Is(err, test.want) {
			t.Errorf("Create(%q): got %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := m.Lookup("new"); err == nil {
		t.Error("a refused Create made a breaker")
	}
}

func TestZeroManager(t *testing.T) {
	var m Manager
	if _, err := m.Lookup("db"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if s := m.Status(); len(s) != 0 {
		t.Errorf("status of an empty manager: %v", s)
	}
	failTimes(m.Breaker("db"), 5)
	is(t, m.Breaker("db"), Open)
}

// Each method of the zero Manager works before it has a breaker.
func TestZeroManagerFirstUse(t *testing.T) {
	for name, use := range map[string]func(m *Manager){
		"CapOpen":     func(m *Manager) { m.CapOpen(0.5) },
		"OnSuspicion": func(m *Manager) { m.OnSuspicion(func(Suspicion) {}) },
		"Suspicion": func(m *Manager) {
			if s, ok := m.Suspicion(); ok {
				t.Errorf("suspicion %v", s)
			}
		},
		"AddListener": func(m *Manager) { m.AddListener(Listener{})() },
		"Breakers": func(m *Manager) {
			if n := len(m.Breakers()); n != 0 {
				t.Errorf("%d breakers", n)
			}
		},
		"LookupSet": func(m *Manager) {
			if _, err := m.LookupSet("s"); !errors.Is(err, ErrUnknown) {
				t.Errorf("LookupSet: %v", err)
			}
		},
		"SetOf": func(m *Manager) { SetOf[int](m, "s") },
	} {
		var m Manager
		use(&m)
		if m.Breaker("db") == nil {
			t.Errorf("no breaker after %s", name)
		}
	}
}

// I12: an unknown id is an error with suggestions, and creates nothing.
func TestLookupNeverCreates(t *testing.T) {
	var m Manager
	m.Breaker("payments")
	m.Breaker("ledger")
	set := SetOf[string](&m, "tenant")
	_ = set.Do(bg, "acme", nop)
	for id, near := range map[string]string{
		"paymnets":     "payments",
		"payment":      "payments",
		"Payments":     "payments",
		"tenant/amce":  "tenant/acme",
		"tenant":       "",
		"payments/x":   "payments",
		"nothing like": "",
		"":             "",
		"tenant/":      "",
	} {
		_, err := m.Apply(id, Order{Verb: VerbForceOpen})
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: got %v, want an *UnknownError", id, err)
			continue
		}
		if near != "" && !slices.Contains(unknown.Near, near) {
			t.Errorf("%q: the nearest are %q, want %s among them", id, unknown.Near, near)
		}
	}
	var ids []string
	for _, s := range m.Status() {
		ids = append(ids, s.ID)
		if s.State != Closed {
			t.Errorf("%s is %s", s.ID, s.State)
		}
	}
	if got, want := strings.Join(ids, " "), "ledger payments tenant/acme"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

func TestLookupOfKeys(t *testing.T) {
	var m Manager
	type code int
	_ = SetOf[string](&m, "s").Do(bg, "a/b c", nop)
	_ = SetOf[string](&m, "s").Do(bg, "", nop)
	_ = SetOf[code](&m, "c").Do(bg, 404, nop)
	_ = SetOf[uint8](&m, "u").Do(bg, 7, nop)
	_ = SetOf[[2]string](&m, "p").Do(bg, [2]string{"x", "y"}, nop)
	for _, id := range []string{"s/a/b c", "s/", "c/404", "u/7", "p/[x y]"} {
		b, err := m.Lookup(id)
		if err != nil || b.ID() != id {
			t.Errorf("Lookup(%q) gave %v, %v", id, b, err)
		}
	}
}

func TestManagerNamesOneKind(t *testing.T) {
	var m Manager
	m.Breaker("db")
	SetOf[string](&m, "set")
	for name, f := range map[string]func(){
		"a set as a breaker":   func() { m.Breaker("set") },
		"a breaker as a set":   func() { SetOf[string](&m, "db") },
		"another type of keys": func() { SetOf[int](&m, "set") },
		"an invalid name":      func() { m.Breaker("a/b") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
	if _, err := CreateSet[int](&m, "set", Settings{}, SetOptions{}); !errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}

func TestManagerOptionsReachEveryBreaker(t *testing.T) {
	var heard listenerLog
	m := NewManager(Settings{}, WithListener(heard.listener()))
	_ = m.Breaker("a").Do(bg, nop)
	_ = SetOf[string](m, "s").Do(bg, "k", nop)
	if got, want := heard.take(), "before, success, before, success"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestStatusWhileBreakersAreCreated(t *testing.T) {
	var m Manager
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				failTimes(m.Breaker(fmt.Sprintf("b%d-%d", w, i%50)), 1)
				_ = SetOf[int](&m, "s").Do(bg, i, broken)
			}
		})
		wg.Go(func() {
			for range 50 {
				s := m.Status()
				if !slices.IsSortedFunc(s, func(a, b Status) int { return strings.Compare(a.ID, b.ID) }) {
					t.Error("status is not sorted by id")
				}
			}
		})
	}
	wg.Wait()
	if n := len(m.Status()); n != 4*50+300 {
		t.Errorf("%d breakers, want 500", n)
	}
}

func TestCreateSetRefusesLimits(t *testing.T) {
	var m Manager
	for _, o := range []SetOptions{{MaxKeys: -1}, {MaxEvidence: -1}} {
		if _, err := CreateSet[string](&m, "s", Settings{}, o); !errors.Is(err, ErrSettings) {
			t.Errorf("CreateSet with %+v: %v, want ErrSettings", o, err)
		}
	}
	if got := len(m.Breakers()); got != 0 {
		t.Errorf("the manager has %d breakers, want none", got)
	}
}

// OnCreate is called once for each breaker and set, and an order that it gives
// is in effect before the breaker can be used.
func TestOnCreateIsCalledOnceForEach(t *testing.T) {
	m := NewManager(Settings{})
	m.Breaker("before")
	var names []string
	remove := m.OnCreate(func(name string) {
		names = append(names, name)
		if b, err := m.Lookup(name); err == nil {
			_ = b.ForceOpen(Order{Actor: "ana", For: time.Hour})
		}
	})
	if got := m.Breaker("a").State(); got != ForcedOpen {
		t.Errorf("a new breaker is %s, want what OnCreate ordered", got)
	}
	m.Breaker("a")
	SetOf[string](m, "s").Breaker("key")
	if _, err := m.Create("a", Settings{}); !errors.Is(err, ErrDuplicate) {
		t.Errorf("Create of a name that is taken: %v", err)
	}
	m.Remove("a")
	m.Breaker("a")
	remove()
	m.Breaker("late")
	if want := []string{"a", "s", "a"}; !slices.Equal(names, want) {
		t.Errorf("OnCreate heard of %v, want %v", names, want)
	}
}

// ProgramSettings stay as the program set them, whatever is in effect.
func TestProgramSettingsStay(t *testing.T) {
	m := NewManager(Settings{FailMax: 7})
	b := m.Breaker("db")
	set := SetOf[string](m, "tenant")
	key := set.Breaker("acme")
	for _, update := range []func(Settings) error{b.Update, set.Update, key.Update} {
		if err := update(Settings{FailMax: 2}); err != nil {
			t.Fatal(err)
		}
	}
	want := Settings{FailMax: 7}.WithDefaults()
	for name, got := range map[string]Settings{"db": b.ProgramSettings(), "tenant": set.ProgramSettings(), "tenant/acme": key.ProgramSettings()} {
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if b.Settings().FailMax != 2 || key.Settings().FailMax != 2 || set.Settings().FailMax != 2 {
		t.Error("the updates did not take effect")
	}
}

// A call that creates a member does not wait for a change of all members, which
// may take long. The new member follows it.
func TestMembersAreCreatedDuringChanges(t *testing.T) {
	var m Manager
	first := m.Breaker("first")
	heard := 0
	remove := m.AddListener(Listener{Success: func(*Breaker) { heard++ }})
	if err := m.Shadow("strict", Settings{FailMax: 1}); err != nil {
		t.Fatal(err)
	}
	defer m.Observe()()
	m.changing.Lock() // as during such a change
	second, third := m.Breaker("second"), SetOf[int](&m, "third")
	m.changing.Unlock()
	for _, b := range []*Breaker{first, second, third.Breaker(1)} {
		_ = b.Do(t.Context(), nop)
		if len(b.Shadows()) != 1 || b.load()&flagObserved == 0 {
			t.Errorf("%s: shadows %v, word %b, want one shadow, and observed", b.ID(), b.Shadows(), b.load())
		}
	}
	if remove(); heard != 3 {
		t.Errorf("heard of %d calls, want 3", heard)
	}
}

// Members that are created while listeners come and go have those that are left.
func TestMembersAndListeners(t *testing.T) {
	for range 5 {
		var m Manager
		var heard atomic.Int32
		made := make([]*Breaker, 200)
		abreast(len(made), func(i int) { made[i] = m.Breaker(fmt.Sprint(i)) }, func(i int) {
			remove := m.AddListener(Listener{Success: func(*Breaker) { heard.Add(1) }})
			if i%40 != 0 {
				remove()
			}
		})
		for i, b := range made {
			heard.Store(0)
			_ = b.Do(t.Context(), nop)
			if n := heard.Load(); n != 5 {
				t.Fatalf("member %d has %d listeners, want 5", i, n)
			}
		}
	}
}

// What OnCreate calls may change the manager, and what it calls.
func TestOnCreateMayCreate(t *testing.T) {
	m := NewManager(Settings{})
	var names []string
	var remove func()
	remove = m.OnCreate(func(name string) {
		names = append(names, name)
		remove()
		m.OnCreate(func(name string) { names = append(names, "late "+name) })
		m.Breaker("inner")
	})
	m.Breaker("outer")
	if want := []string{"outer", "late inner"}; !slices.Equal(names, want) {
		t.Errorf("OnCreate heard of %v, want %v", names, want)
	}
}

// Only members with the manager's own settings and options share them.
func TestManagerSharesNothingElse(t *testing.T) {
	var m Manager
	m.Breaker("plain")
	asked := 0
	ruled, _ := m.Create("ruled", Settings{}, WithRule("r", func(Counts) bool { asked++; return false }))
	play(ruled, "f")
	if asked != 1 {
		t.Errorf("its rule was asked %d times, want once", asked)
	}
	for i, name := range []string{"a", "b"} {
		if b, err := m.Create(name, Settings{FailMax: i + 1}); err != nil || b.Settings().FailMax != i+1 {
			t.Errorf("%s has FailMax %d, want %d", name, b.Settings().FailMax, i+1)
		}
	}
	if got, created, err := m.add("plain", Settings{}, nil, makeBreaker); got != m.Breaker("plain") || created || err != nil {
		t.Errorf("a name that is taken: %v, %v, %v", got, created, err)
	}
}

// What programs write wrongly in their source is a panic that says what is wrong.
func TestManagerPanics(t *testing.T) {
	var m Manager
	m.Breaker("b")
	SetOf[int](&m, "s")
	for want, do := range map[string]func(){
		`breaker: "s" is a set, use SetOf`:                      func() { m.Breaker("s") },
		`breaker: "s" is not a set with keys of type string`:    func() { SetOf[string](&m, "s") },
		`breaker: "b" is not a set with keys of type int`:       func() { SetOf[int](&m, "b") },
		"breaker: " + ValidateName("a/b").Error():               func() { m.Breaker("a/b") },
		"breaker: " + (Settings{Probes: -1}).Validate().Error(): func() { NewManager(Settings{Probes: -1}) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("got %v, want %s", got, want)
				}
			}()
			do()
		}()
	}
}

// A member that is removed is no longer counted, observed, recorded or heard; the
// others stay.
func TestManagerRemovesAll(t *testing.T) {
	m := NewManager(Settings{FailMax: 1})
	heard := map[string]int{}
	m.AddListener(Listener{StateChange: func(b *Breaker, _ Transition) { heard[b.ID()]++ }})
	m.Observe()
	_ = m.Shadow("x", Settings{})
	w := watchTape(m)
	defer w.detach()
	b, s, other := m.Breaker("b"), SetOf[string](m, "s"), SetOf[string](m, "other")
	k := s.Breaker("k")
	s.Breaker("k2")
	for _, k := range []string{"k", "l", "m"} {
		other.Breaker(k)
	}
	old := b.cfg
	if got := m.Len(); got != 6 {
		t.Errorf("%d breakers, want 6", got)
	}
	for _, name := range []string{"b", "s"} {
		if !m.Remove(name) || m.Remove(name) {
			t.Errorf("%s is not removed once", name)
		}
	}
	play(b, "f")
	play(k, "f")
	play(other.Breaker("k"), "f")
	for _, b := range []*Breaker{b, k} {
		if b.load()&(flagObserved|flagTimed) != 0 || heard[b.ID()] != 0 || len(b.Shadows()) != 0 {
			t.Errorf("%s: word %x, %d transitions heard, %d shadows", b.ID(), b.load(), heard[b.ID()], len(b.Shadows()))
		}
	}
	if got := m.Len(); got != 3 || heard["other/k"] != 1 {
		t.Errorf("%d breakers, and %d transitions of the other one heard; want 3 and 1", got, heard["other/k"])
	}
	if got := w.take(); !strings.HasPrefix(got, "#1 failure") || strings.Contains(got, "#2") {
		t.Errorf("on the tape: %s", got)
	}
	m.Breaker("b") // another one
	if n, member := m.count(old); n != 0 || member {
		t.Errorf("the removed one is still a member of %d", n)
	}
}

// Each of several listeners and functions of OnCreate is kept until it is removed
// itself.
func TestManagerKeepsEachListener(t *testing.T) {
	m := NewManager(Settings{FailMax: 1})
	var heard []string
	add := func(name string) (remove, end func()) {
		return m.AddListener(Listener{StateChange: func(*Breaker, Transition) { heard = append(heard, name) }}),
			m.OnCreate(func(string) { heard = append(heard, "new "+name) })
	}
	add("1")
	remove, end := add("2")
	add("3")
	play(m.Breaker("a"), "f")
	remove()
	end()
	play(m.Breaker("b"), "f")
	if got, want := strings.Join(heard, ", "), "new 1, new 2, new 3, 1, 2, 3, new 1, new 3, 1, 3"; got != want {
		t.Errorf("heard %s; want %s", got, want)
	}
}
