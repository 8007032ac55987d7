package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// save writes a file.
func save(t testing.TB, file []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "calls.sgr")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func mustOpen(t testing.TB, name string) *Trace {
	t.Helper()
	trace, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// two is a trace of two breakers, of which the second has rejected calls and calls
// that take a minute.
func two(seed uint64) *Trace {
	out := outages(seed)
	b := censor(outages(seed+1), breaker.Settings{ResetTimeout: 20 * time.Second})
	l := b.Breakers[0]
	l.ID = "second"
	for i := range l.calls {
		if i%500 == 0 && l.calls[i].What.Kind() == tape.Whole {
			l.calls[i].Began = max(1, l.calls[i].Began-time.Minute)
		}
	}
	out.Breakers = append(out.Breakers, l)
	out.Calls, out.Rejected = 0, 0
	out.finish()
	return out
}

// late writes a trace with some calls later than they ended, as a recorder may.
func late(t *testing.T, trace *Trace, by time.Duration) []byte {
	t.Helper()
	var calls []tape.Call
	out := &bytes.Buffer{}
	w := NewWriter(out)
	w.header(trace.Header)
	for i, l := range trace.Breakers {
		w.breaker(uint32(i+1), laneHeader{Name: l.ID, Settings: l.Settings, Fresh: true, StepBase: new(time.Duration)})
		for _, c := range l.calls {
			c.What = c.What.Renumbered(uint32(i + 1))
			calls = append(calls, c)
		}
	}
	rng := rand.New(rand.NewPCG(9, 9))
	key := make(map[tape.Call]time.Duration, len(calls))
	for _, c := range calls {
		key[c] = c.Ended
		if rng.IntN(20) == 0 {
			key[c] += time.Duration(rng.Int64N(int64(by)))
		}
	}
	slices.SortStableFunc(calls, func(a, b tape.Call) int { return cmp.Compare(key[a], key[b]) })
	for c := range slices.Chunk(calls, rowsMax) {
		w.callsFrame(c)
	}
	w.end(trace.Ended.Sub(trace.Base), 0)
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What a replay of a file says does not depend on whether the calls are kept in
// memory, and not on how late they are in the file.
func TestFileAndMemoryAgree(t *testing.T) {
	trace := two(3)
	var plain bytes.Buffer
	if _, err := trace.WriteTo(&plain); err != nil {
		t.Fatal(err)
	}
	recorded := outage(t, breaker.Settings{ResetTimeout: 10 * time.Second}, Options{})
	for name, file := range map[string][]byte{
		"in order": plain.Bytes(), "a little late": late(t, trace, 300*time.Millisecond), "much later": late(t, trace, time.Minute),
		"recorded": recorded, "two recordings": append(bytes.Clone(recorded), recorded...), "cut": recorded[:len(recorded)*2/3],
	} {
		opened := mustOpen(t, save(t, file))
		kept, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if (opened.file == nil) != (name == "much later") {
			t.Errorf("%s: in memory is %v", name, opened.file == nil)
		}
		if opened.Calls != kept.Calls || opened.Rejected != kept.Rejected || opened.Complete != kept.Complete || !slices.Equal(opened.Notes, kept.Notes) || !opened.Ended.Equal(kept.Ended) {
			t.Errorf("%s: %d calls, %d rejected, %q; want %d, %d, %q", name, opened.Calls, opened.Rejected, opened.Notes, kept.Calls, kept.Rejected, kept.Notes)
		}
		if got, want := opened.Verify(), kept.Verify(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: verified %+v, want %+v", name, got, want)
		}
		loose := With("loose", breaker.Settings{FailMax: 12, ResetTimeout: 2 * time.Second})
		got, want := run(t, opened, AsRecorded, loose), run(t, kept, AsRecorded, loose)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the replays differ:\n%+v\n%+v", name, got, want)
		}
		var a, b bytes.Buffer
		if err := errors.Join(got.WriteHTML(&a, opened), want.WriteHTML(&b, kept)); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: the pages differ, %v", name, err)
		}
	}
}

// A file that is not what it was is an error, and one that has grown is not.
func TestFileThatChanges(t *testing.T) {
	file := outage(t, breaker.Settings{}, Options{})
	name := save(t, file)
	trace := mustOpen(t, name)
	want := run(t, trace, AsRecorded)
	write := func(b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(append(bytes.Clone(file), file...))
	if got := run(t, trace, AsRecorded); !reflect.DeepEqual(got, want) {
		t.Errorf("it has grown: %+v, want %+v", got, want)
	}
	for what, change := range map[string]func(){
		"cut":      func() { write(file[:len(file)/2]) },
		"replaced": func() { write(outage(t, breaker.Settings{}, Options{Program: "other"})[:len(file)-5]) },
		"removed":  func() { _ = os.Remove(name) },
	} {
		change()
		if _, err := Run(t.Context(), trace, RunOptions{}, AsRecorded); err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
			t.Errorf("%s: %v", what, err)
		}
		if v := trace.Verify(); v.OK() || v.Err == nil {
			t.Errorf("%s: verified, %v", what, v)
		}
	}
}

// dayFile writes a file of n calls, 1,000 a second, with an outage each hour.
func dayFile(t testing.TB, n int) string {
	t.Helper()
	return writeDay(t, filepath.Join(t.TempDir(), "day.sgr"), n)
}

func writeDay(t testing.TB, name string, n int) string {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := NewWriter(f)
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.header(Header{Base: base})
	w.breaker(1, laneHeader{Name: "payments", Settings: breaker.Settings{}.WithDefaults(), Fresh: true, StepBase: new(time.Duration)})
	rng := rand.New(rand.NewPCG(1, 7))
	at := time.Duration(1)
	calls := make([]tape.Call, 0, rowsMax)
	for i := range n {
		at += time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		failing := .01
		if at%time.Hour > 50*time.Minute && at%time.Hour < 51*time.Minute {
			failing = 1
		}
		o := breaker.Success
		if rng.Float64() < failing {
			o = breaker.Failure
		}
		calls = append(calls, tape.Call{Began: max(1, at-time.Duration(rng.ExpFloat64()*20e6)), Ended: at, What: tape.Is(uint8(o), tape.Whole, 0).Of(1)})
		if len(calls) == rowsMax || i == n-1 {
			w.write(calls, nil)
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
			calls = calls[:0]
		}
	}
	w.end(at, 0)
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// What a replay of a file allocates does not grow with the number of its calls.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	allocated := func(n int) uint64 {
		name := dayFile(t, n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		trace := mustOpen(t, name)
		if _, err := Run(t.Context(), trace, RunOptions{}, AsRecorded, With("x", breaker.Recommended())); err != nil {
			t.Fatal(err)
		}
		if v := trace.Verify(); v.Err != nil {
			t.Fatal(v.Err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	const few, many = 100_000, 400_000
	a, b := allocated(few), allocated(many)
	t.Logf("%d calls: %d kB; %d calls: %d kB", few, a>>10, many, b>>10)
	// All of what was allocated, most of it not in use any more: a call takes 24
	// bytes in memory, and would be allocated more than once.
	if b > a && float64(b-a)/(many-few) > 8 {
		t.Errorf("each further call allocates %.1f bytes", float64(b-a)/(many-few))
	}
}

// BenchmarkDay is a part of a day of 1,000 calls a second, as a file. If
// SWITCHGEAR_DAY names a file, it is the whole day, 800 MB, and the file is kept,
// so that the command can be measured with it, too.
func BenchmarkDay(b *testing.B) {
	calls, name := 5_000_000, os.Getenv("SWITCHGEAR_DAY")
	if name == "" {
		name = dayFile(b, calls)
	} else {
		calls = 86_400_000
		writeDay(b, name, calls)
	}
	rate := func(b *testing.B, n int) {
		b.ReportMetric(float64(calls)*float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcalls/s")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/1e6, "MB")
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			mustOpen(b, name).Verify()
		}
		rate(b, 1)
	})
	for _, n := range []int{1, 2, 200} {
		b.Run(map[int]string{1: "one", 2: "two", 200: "200 candidates"}[n], func(b *testing.B) {
			cs := make([]Candidate, n)
			for i := range cs {
				cs[i] = With("x", breaker.Settings{FailMax: 3 + i%10})
			}
			for b.Loop() {
				if _, err := Run(b.Context(), mustOpen(b, name), RunOptions{}, cs...); err != nil {
					b.Fatal(err)
				}
			}
			rate(b, n)
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			mustOpen(b, name)
		}
		rate(b, 1)
	})
}

var update = flag.Bool("update", false, "write testdata/outage.sgr anew")

const goldenFile = "testdata/outage.sgr"

// A file that an earlier version wrote is still read, and still reproduced.
func TestGolden(t *testing.T) {
	if *update {
		file := record(t, breaker.Settings{ResetTimeout: 20 * time.Second}, Options{Program: "shop", Keys: KeysPlain}, func(m *breaker.Manager) {
			b, set := m.Breaker("payments"), breaker.SetOf[string](m, "inventory")
			d := &service{began: time.Now(), period: 3 * time.Minute, illShare: .25, well: weather{.01, 20 * time.Millisecond}, ill: []weather{{1, 5 * time.Millisecond}, {.7, time.Second}}}
			d.load(rand.New(rand.NewPCG(1, 2)), 3, 300*time.Millisecond, 13*time.Minute, func(ctx context.Context, worker int, fn func(context.Context) error) {
				if worker == 0 {
					_ = set.Do(ctx, []string{"a", "b"}[time.Now().Nanosecond()%2], fn)
					return
				}
				_ = b.Do(ctx, fn)
			})
		})
		if err := os.WriteFile(goldenFile, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trace, err := Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	v := trace.Verify()
	if !v.OK() || v.Reproduced < 20 || v.Unchecked > 0 || len(trace.Breakers) != 3 || trace.Program != "shop" || !trace.Complete {
		t.Errorf("%v of %d breakers: %v", v, len(trace.Breakers), v.First)
	}
}
