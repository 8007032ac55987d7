package breaker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

func TestManagerGetsOrCreates(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{FailMax: 7})
	if first, again := m.Breaker("db"), m.Breaker("db"); first != again {
		t.Error("one name gave two breakers")
	}
	if got := m.Breaker("db").Settings().FailMax; got != 7 {
		t.Errorf("FailMax %d, want the default's 7", got)
	}
	own, err := m.Create("queue", breaker.Settings{FailMax: 2})
	if err != nil || own.Settings().FailMax != 2 || m.Breaker("queue") != own {
		t.Errorf("Create gave %v, %v", own, err)
	}
	for _, test := range []struct {
		name string
		s    breaker.Settings
		want error
	}{
		{"db", breaker.Settings{}, breaker.ErrDuplicate},
		{"a/b", breaker.Settings{}, breaker.ErrName},
		{"", breaker.Settings{}, breaker.ErrName},
		{"new", breaker.Settings{FailureRate: 3}, breaker.ErrSettings},
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
	var m breaker.Manager
	if _, err := m.Lookup("db"); !errors.Is(err, breaker.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	if s := m.Status(); len(s) != 0 {
		t.Errorf("status of nobody: %v", s)
	}
	failTimes(m.Breaker("db"), 5)
	wantState(t, m.Breaker("db"), breaker.Open)
}

// Each method of the zero Manager works before it has a breaker.
func TestZeroManagerFirstUse(t *testing.T) {
	for name, use := range map[string]func(m *breaker.Manager){
		"CapOpen":     func(m *breaker.Manager) { m.CapOpen(0.5) },
		"OnSuspicion": func(m *breaker.Manager) { m.OnSuspicion(func(breaker.Suspicion) {}) },
		"Suspicion": func(m *breaker.Manager) {
			if s, ok := m.Suspicion(); ok {
				t.Errorf("suspicion %v", s)
			}
		},
		"AddListener": func(m *breaker.Manager) { m.AddListener(breaker.Listener{})() },
		"Breakers": func(m *breaker.Manager) {
			if n := len(m.Breakers()); n != 0 {
				t.Errorf("%d breakers", n)
			}
		},
		"LookupSet": func(m *breaker.Manager) {
			if _, err := m.LookupSet("s"); !errors.Is(err, breaker.ErrUnknown) {
				t.Errorf("LookupSet: %v", err)
			}
		},
		"SetOf": func(m *breaker.Manager) { breaker.SetOf[int](m, "s") },
	} {
		var m breaker.Manager
		use(&m)
		if m.Breaker("db") == nil {
			t.Errorf("no breaker after %s", name)
		}
	}
}

// I12: an unknown id is an error that helps, and creates nothing.
func TestLookupNeverCreates(t *testing.T) {
	var m breaker.Manager
	m.Breaker("payments")
	m.Breaker("ledger")
	set := breaker.SetOf[string](&m, "tenant")
	_ = set.Do(ctx, "acme", succeed)
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
		_, err := m.Apply(id, breaker.Order{Verb: breaker.VerbForceOpen})
		var unknown *breaker.UnknownError
		if !errors.As(err, &unknown) || !errors.Is(err, breaker.ErrUnknown) {
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
		if s.State != breaker.Closed {
			t.Errorf("%s is %s", s.ID, s.State)
		}
	}
	if got, want := strings.Join(ids, " "), "ledger payments tenant/acme"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

func TestLookupOfKeys(t *testing.T) {
	var m breaker.Manager
	type code int
	_ = breaker.SetOf[string](&m, "s").Do(ctx, "a/b c", succeed)
	_ = breaker.SetOf[string](&m, "s").Do(ctx, "", succeed)
	_ = breaker.SetOf[code](&m, "c").Do(ctx, 404, succeed)
	_ = breaker.SetOf[uint8](&m, "u").Do(ctx, 7, succeed)
	_ = breaker.SetOf[[2]string](&m, "p").Do(ctx, [2]string{"x", "y"}, succeed)
	for _, id := range []string{"s/a/b c", "s/", "c/404", "u/7", "p/[x y]"} {
		b, err := m.Lookup(id)
		if err != nil || b.ID() != id {
			t.Errorf("Lookup(%q) gave %v, %v", id, b, err)
		}
	}
}

func TestManagerNamesOneKind(t *testing.T) {
	var m breaker.Manager
	m.Breaker("db")
	breaker.SetOf[string](&m, "set")
	for name, f := range map[string]func(){
		"a set as a breaker":   func() { m.Breaker("set") },
		"a breaker as a set":   func() { breaker.SetOf[string](&m, "db") },
		"another type of keys": func() { breaker.SetOf[int](&m, "set") },
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
	if _, err := breaker.CreateSet[int](&m, "set", breaker.Settings{}, breaker.SetOptions{}); !errors.Is(err, breaker.ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}

func TestManagerOptionsReachEveryBreaker(t *testing.T) {
	var heard tape
	m := breaker.NewManager(breaker.Settings{}, breaker.WithListener(heard.listener()))
	_ = m.Breaker("a").Do(ctx, succeed)
	_ = breaker.SetOf[string](m, "s").Do(ctx, "k", succeed)
	if got, want := heard.take(), "before, success, before, success"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestStatusWhileBreakersAreMade(t *testing.T) {
	var m breaker.Manager
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				failTimes(m.Breaker(fmt.Sprintf("b%d-%d", w, i%50)), 1)
				_ = breaker.SetOf[int](&m, "s").Do(ctx, i, fail)
			}
		})
		wg.Go(func() {
			for range 50 {
				s := m.Status()
				if !slices.IsSortedFunc(s, func(a, b breaker.Status) int { return strings.Compare(a.ID, b.ID) }) {
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
	var m breaker.Manager
	for _, o := range []breaker.SetOptions{{MaxKeys: -1}, {MaxEvidence: -1}} {
		if _, err := breaker.CreateSet[string](&m, "s", breaker.Settings{}, o); !errors.Is(err, breaker.ErrSettings) {
			t.Errorf("CreateSet with %+v: %v, want ErrSettings", o, err)
		}
	}
	if got := len(m.Breakers()); got != 0 {
		t.Errorf("the manager has %d breakers, want none", got)
	}
}
