package breaker

import (
	"errors"
	"testing"
	"time"
)

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
	var m Manager
	a, b, s := m.Breaker("a"), m.Breaker("b"), SetOf[int](&m, "s").Breaker(1)
	if a.cfg.fine != b.cfg.fine || a.cfg.fine != s.cfg.fine || a.settings() != b.settings() || a.settings() != s.settings() {
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
