package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// Each mutant of the list still applies to the engine as it is, and changes it.
func TestNamedApply(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		seen[m.name] = true
		if m.old == m.new {
			t.Errorf("%q changes nothing", m.name)
		}
	}
	if _, _, err := instrumentAll("../../breaker", slices.Clone(mutants)); err != nil {
		t.Error(err)
	}
}

// Each explained survivor is a change that can still be made, and each change
// has a key of its own.
func TestSurvivorsAreThere(t *testing.T) {
	explained, err := readKeys("survivors.txt", "breaker")
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := instrumentAll("../../breaker", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range unknown(explained, p.sites) {
		t.Errorf("survivors.txt explains what is not there: %s", key)
	}
	keys := map[string]bool{}
	for _, s := range p.sites {
		if keys[s.key] {
			t.Errorf("two changes are called %q", s.key)
		}
		keys[s.key] = true
	}
}

const sample = `package p

import "sync/atomic"

const (
	one uint64 = 1 << iota
	two
	both = one | two
)

const alone = one | two

type compiled struct{ limit int }

type B struct {
	n    int
	ok   bool
	word atomic.Uint64
	cfg  struct{ settings atomic.Pointer[compiled] }
}

func (b *B) settings() *compiled { return b.cfg.settings.Load() }

func ask(n int) int { return n + 1 }

func (b *B) f(n int) bool {
	if n > 1 && b.ok {
		b.n = n
		b.n = ask(n)
	}
	if b.word.CompareAndSwap(one, both) {
		n = b.settings().limit - 1
	}
	return n <= 2 || ask(n) < 3
}
`

func instrumentSample(t *testing.T, list ...named) (p *pkgSites, text string) {
	t.Helper()
	return instrumentText(t, sample, list...)
}

func instrumentText(t *testing.T, sample string, list ...named) (p *pkgSites, text string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "f.go", sample, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = checkTypes(fset, []*ast.File{f}, list); err != nil {
		t.Fatal(err)
	}
	if text, err = p.instrumentFile("dir/f.go", sample, f); err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "f.go", text, 0); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p, text
}

// What is changed, and how each change is called.
func TestOperators(t *testing.T) {
	p, text := instrumentSample(t)
	var got []string
	for _, s := range p.sites {
		got = append(got, s.String())
	}
	want := []string{
		"both without one  // one", "both without two  // two",
		"B.settings zeroed 1  // b.cfg.settings.Load()",
		"alone without one  // one", "alone without two  // two",
		"ask arith 1  // n + 1", "ask zeroed 1  // n + 1",
		"B.f negated 1  // n > 1 && b.ok", "B.f dropped 1  // n > 1", "B.f dropped 2  // b.ok", "B.f bound 1  // n > 1",
		"B.f left-out 1  // b.n = n", "B.f left-out 2  // b.n = ask(n)", "B.f zeroed 1  // ask(n)",
		"B.f negated 2  // b.word.CompareAndSwap(one, both)", "B.f stored 1  // b.word.CompareAndSwap(one, both)",
		"B.f left-out 3  // n = b.settings().limit - 1", "B.f arith 1  // b.settings().limit - 1", "B.f shared 1  // b.settings()",
		"B.f negated 3  // n <= 2 || ask(n) < 3", "B.f dropped 3  // n <= 2", "B.f dropped 4  // ask(n) < 3", "B.f bound 2  // n <= 2", "B.f zeroed 2  // ask(n)",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("changes\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	for _, part := range []string{
		"{ b.word.Store(both); return true }; return b.word.CompareAndSwap(one, both) }()",
		"{ return (b).cfg.settings.Load() }; return b.settings() }()",
		"var both = uint64(0) | masked(",
		"const _ = 0\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
}

// A named mutant is a copy of its function, wherever that stands.
func TestNamedIsACopy(t *testing.T) {
	p, text := instrumentSample(t, named{name: "x", in: "B.f", old: "b.ok", new: "true"}, named{name: "y", in: "both", old: "two"})
	for _, part := range []string{"{ return b.f__", "(n) };", ") f__", "if n > 1 && true {"} {
		if !strings.Contains(strings.ReplaceAll(text, "func (b *B", ""), part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
	if err := p.leftOver(); err != nil {
		t.Error(err)
	}
	for _, wrong := range []named{{name: "z", in: "B.g", old: "b.ok"}, {name: "z", in: "both", old: "three"}} {
		if p, _ := instrumentSample(t, wrong); p.leftOver() == nil {
			t.Errorf("%+v was applied", wrong)
		}
	}
}

const sharedSample = `package p

import (
	"sync"
	"sync/atomic"
)

const (
	one uint64 = 1 << iota
	two
)

type B struct {
	mu    sync.Mutex
	n     int
	list  []int
	word  atomic.Uint64
	count atomic.Int64
}

func (b *B) f() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.word.Load()
	b.n++
	b.n += 2
	b.list = append(b.list, 3)
	b.count.Add(1)
	b.word.Store(w | two)
	return b.word.Load() & (one | two)
}

func (b *B) g() {
	b.mu.Lock()
	b.n = 1
	b.mu.Unlock()
}
`

// The changes of what goroutines share.
func TestOperatorsOfShared(t *testing.T) {
	p, text := instrumentText(t, sharedSample)
	var got []string
	for _, s := range p.sites {
		for _, operator := range []string{" unlocked ", " late ", " stale ", " overwritten ", " without "} {
			if strings.Contains(s.key, operator) {
				got = append(got, s.String())
			}
		}
	}
	want := []string{
		"B.f unlocked 1  // b.mu", "B.f late 1  // b.mu.Lock()", "B.f late 2  // b.count.Add(1)", "B.f stale 1  // b.word.Load()",
		"B.f overwritten 1  // b.n++", "B.f overwritten 2  // b.n += 2", "B.f overwritten 3  // b.list = append(b.list, 3)", "B.f overwritten 4  // b.count.Add(1)",
		"B.f without 1  // two", "B.f without 2  // one", "B.f without 3  // two",
		"B.g unlocked 1  // b.mu", "B.g late 1  // b.mu.Lock()", "B.g late 2  // b.n = 1",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("changes\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	for _, part := range []string{
		"{ b.n = 1 } else { ", "{ b.n = 2 } else { ", "{ b.list = append((b.list)[:0:0], 3) } else { ", "{ b.count.Store(1) } else { ",
		"; if mutated(2) { b.mu.Lock() }\n", ", w) & (masked(",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
}
