package linear

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
)

// envInt reads a number from the environment.
func envInt(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// TestLinearizable checks histories of real goroutines.
//
//	SWITCHGEAR_HISTORIES  how many in all, default 12,000
//	SWITCHGEAR_SEED       the first seed; a failure prints its own
func TestLinearizable(t *testing.T) {
	count := envInt(t, "SWITCHGEAR_HISTORIES", 12_000)
	if testing.Short() {
		count = 500
	}
	first := envInt(t, "SWITCHGEAR_SEED", int(time.Now().UnixNano()&0xffffffff))
	all := worlds()
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			ops := 0
			for i := range count / len(all) {
				ops += checkOne(t, &w, uint64(first+i))
				if t.Failed() {
					return
				}
			}
			t.Logf("%d histories, %d operations, first seed %d", count/len(all), ops, first)
		})
	}
}

func checkOne(t *testing.T, w *world, seed uint64) int {
	var h []porcupine.Operation
	synctest.Test(t, func(t *testing.T) { h = history(w, seed) })
	result, _ := porcupine.CheckOperationsVerbose(model(w.spec), h, time.Minute)
	if result != porcupine.Ok {
		t.Errorf("seed %d: %s. Check this history again with SWITCHGEAR_HISTORY=%s go test -v -run TestSavedHistory, or run the same clients with SWITCHGEAR_SEED=%d; it was\n%s",
			seed, result, save(t, w, h), seed, text(h))
	}
	return len(h)
}

// saved is a history in a file.
type saved struct {
	World string
	Ops   []savedOp
}

type savedOp struct {
	In           input
	Out          output
	Call, Return int64
}

func save(t *testing.T, w *world, h []porcupine.Operation) (path string) {
	t.Helper()
	s := saved{World: w.name}
	for _, o := range h {
		s.Ops = append(s.Ops, savedOp{o.Input.(input), o.Output.(output), o.Call, o.Return})
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("", "history-*.json") //nolint:usetesting // it is to outlive the test
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// TestSavedHistory checks the history in the file that SWITCHGEAR_HISTORY
// names, and those kept in testdata, of which each says in its name whether it
// is one that could be.
func TestSavedHistory(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv("SWITCHGEAR_HISTORY"); path != "" {
		paths = []string{path}
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			w, h := load(t, path)
			want := porcupine.Ok
			if strings.HasPrefix(filepath.Base(path), "illegal-") {
				want = porcupine.Illegal
			}
			if got := porcupine.CheckOperationsTimeout(model(w.spec), h, time.Minute); got != want {
				t.Errorf("%s, want %s:\n%s", got, want, text(h))
			}
		})
	}
}

func load(t *testing.T, path string) (w world, h []porcupine.Operation) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	all := worlds()
	w = all[slices.IndexFunc(all, func(w world) bool { return w.name == s.World })]
	for _, o := range s.Ops {
		h = append(h, porcupine.Operation{ClientId: o.In.Client, Input: o.In, Output: o.Out, Call: o.Call, Return: o.Return})
	}
	return w, h
}

// text is a history by the time of the calls, with the intervals of its
// operations: enough to check it by hand.
func text(h []porcupine.Operation) string {
	h = slices.Clone(h)
	slices.SortStableFunc(h, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var s strings.Builder
	for _, o := range h {
		fmt.Fprintf(&s, "%4d-%-4d %s\n", o.Call, o.Return, describe(o.Input.(input), o.Output.(output)))
	}
	return s.String()
}
