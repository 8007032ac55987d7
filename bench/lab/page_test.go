package lab

import (
	"flag"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var write = flag.String("write", "", "play the rows \"scene contender\" that match this regular `expression`, and write "+resultsFile+" and docs/lab.md")

// playAll plays the scenes to the contenders that pick allows, as many at once
// as there are processors, and puts the rows into out.
func playAll(t *testing.T, out results, all []*scene, pick func(*scene, contender) bool) {
	var mu sync.Mutex
	for _, s := range all {
		t.Run(s.id, func(t *testing.T) {
			played := newScript(s)
			for _, c := range contenders() {
				if !pick(s, c) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					r := play(t, c, played)
					mu.Lock()
					defer mu.Unlock()
					if out[s.id] == nil {
						out[s.id] = map[string]row{}
					}
					out[s.id][c.name] = r
				})
			}
		})
	}
}

// TestPage checks that docs/lab.md says what the results say, or writes both.
func TestPage(t *testing.T) {
	all, err := readResults()
	if err != nil && *write == "" {
		t.Fatal(err)
	}
	if *write != "" {
		if all == nil {
			all = results{}
		}
		match := regexp.MustCompile(*write)
		for _, s := range everyScene() { // what was played is kept, if the run is stopped
			playAll(t, all, []*scene{s}, func(s *scene, c contender) bool { return match.MatchString(s.id + " " + c.name) })
			if err := all.write(); err != nil {
				t.Fatal(err)
			}
		}
		if all, err = readResults(); err != nil { // as they are rounded in the file
			t.Fatal(err)
		}
		if err := os.WriteFile(pageFile, []byte(newPage(all)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range everyScene() {
		for _, c := range contenders() {
			if _, ok := all[s.id][c.name]; !ok {
				t.Errorf("%s has no row for %s %s", resultsFile, s.id, c.name)
			}
		}
	}
	got, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != newPage(all) {
		t.Errorf("%s is not what %s says: go test -run TestPage -write '^$' .", pageFile, resultsFile)
	}
}

// TestRowsAreCurrent plays our rows again, and of the others those that are
// quick. Under the race detector it plays one scene.
func TestRowsAreCurrent(t *testing.T) {
	kept, err := readResults()
	if err != nil {
		t.Fatal(err)
	}
	const short = "O3"
	some := everyScene()
	if raceDetector {
		some = slices.DeleteFunc(some, func(s *scene) bool { return s.id != short })
	}
	played := results{}
	playAll(t, played, some, func(s *scene, c contender) bool {
		return c.kind == ourEngine || s.id == short && !strings.HasPrefix(c.name, "bytedance") // which has a ticker
	})
	for _, s := range some {
		for name, r := range played[s.id] {
			old := kept[s.id][name]
			names, got := r.fields()
			_, want := old.fields()
			for i := range got {
				if !near(got[i], want[i]) {
					t.Errorf("%s, %s: %s is %v, but %s has %v: is docs/lab.md still right? See its head for how to write it.", s.id, name, names[i], deref(got[i]), resultsFile, deref(want[i]))
				}
			}
		}
	}
}

// near allows a twentieth, because a change of the engine may draw other random
// numbers for the jitter of the open time.
func near(a, b any) bool {
	x, y := deref(a), deref(b)
	return math.Abs(x-y) <= 0.05*max(x, y)+0.02
}

// deref returns the number that a field of a row points at.
func deref(v any) float64 {
	if n, ok := v.(*int); ok {
		return float64(*n)
	}
	return *v.(*float64)
}
