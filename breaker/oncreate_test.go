package breaker_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// OnCreate is called once for each breaker and set, and an order that it gives
// is in effect before the breaker can be used.
func TestOnCreateIsCalledOnceForEach(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("before")
	var names []string
	remove := m.OnCreate(func(name string) {
		names = append(names, name)
		if b, err := m.Lookup(name); err == nil {
			_ = b.ForceOpen(breaker.Order{Actor: "ana", For: time.Hour})
		}
	})
	if got := m.Breaker("a").State(); got != breaker.ForcedOpen {
		t.Errorf("a new breaker is %s, want what OnCreate ordered", got)
	}
	m.Breaker("a")
	breaker.SetOf[string](m, "s").Breaker("key")
	if _, err := m.Create("a", breaker.Settings{}); !errors.Is(err, breaker.ErrDuplicate) {
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

// BreakerOf creates the breaker of a key from its text, if the text identifies
// the key.
func TestBreakerOfText(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	type pair struct{ a, b int }
	strs, ints, pairs := breaker.SetOf[string](m, "strings"), breaker.SetOf[int8](m, "ints"), breaker.SetOf[pair](m, "pairs")
	pairs.Breaker(pair{1, 2})
	for _, tt := range []struct {
		set  breaker.AnySet
		text string
		ok   bool
	}{
		{strs, "acme", true},
		{strs, `\*`, true},
		{ints, "-7", true},
		{ints, "007", false},
		{ints, "300", false},
		{pairs, "{1 2}", true},
		{pairs, "{3 4}", false},
	} {
		b, err := tt.set.BreakerOf(tt.text)
		if !tt.ok {
			if !errors.Is(err, breaker.ErrUnknown) {
				t.Errorf("%s/%s: %v, want ErrUnknown", tt.set.Name(), tt.text, err)
			}
			continue
		}
		if err != nil || b.ID() != tt.set.Name()+"/"+tt.text {
			t.Errorf("%s/%s: %v, %v", tt.set.Name(), tt.text, b, err)
		}
	}
	if strs.Breaker("*").ID() != `strings/\*` || ints.Breaker(-7) != must(ints.BreakerOf("-7")) {
		t.Error("a key has another breaker by its text")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ProgramSettings stay as the program set them, whatever is in effect.
func TestProgramSettingsStay(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{FailMax: 7})
	b := m.Breaker("db")
	set := breaker.SetOf[string](m, "tenant")
	key := set.Breaker("acme")
	for _, update := range []func(breaker.Settings) error{b.Update, set.Update, key.Update} {
		if err := update(breaker.Settings{FailMax: 2}); err != nil {
			t.Fatal(err)
		}
	}
	want := breaker.Settings{FailMax: 7}.WithDefaults()
	for name, got := range map[string]breaker.Settings{"db": b.ProgramSettings(), "tenant": set.ProgramSettings(), "tenant/acme": key.ProgramSettings()} {
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if b.Settings().FailMax != 2 || key.Settings().FailMax != 2 || set.Settings().FailMax != 2 {
		t.Error("the updates did not take effect")
	}
}

// What OnCreate calls may change the manager, and what it calls.
func TestOnCreateMayCreate(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
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
