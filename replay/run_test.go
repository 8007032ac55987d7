package replay

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// sickness is a time in which a dependency of synth is ill.
type sickness struct {
	from, to time.Duration
	failing  float64
	took     time.Duration
}

// synth returns the trace of a dependency without a breaker: the truth that the
// tests measure against.
func synth(seed uint64, perSecond float64, total time.Duration, failing float64, ill ...sickness) *Trace {
	r := rand.New(rand.NewPCG(seed, 1))
	l := &Lane{ID: "dependency", Settings: breaker.Settings{FailMax: -1}.WithDefaults(), Fresh: true}
	for at := time.Duration(1); ; {
		at += 1 + time.Duration(r.ExpFloat64()/perSecond*float64(time.Second))
		if at > total {
			break
		}
		rate, took := failing, 20*time.Millisecond
		for _, s := range ill {
			if at >= s.from && at < s.to {
				rate, took = s.failing, s.took
			}
		}
		o := breaker.Success
		if r.Float64() < rate {
			o = breaker.Failure
		}
		end := at + 1 + time.Duration(r.ExpFloat64()*float64(took))
		l.calls = append(l.calls, tape.Call{Began: at, Ended: end, What: tape.Is(uint8(o), tape.Whole, 0).Of(1)})
	}
	slices.SortFunc(l.calls, func(a, b tape.Call) int { return cmp.Compare(a.Ended, b.Ended) })
	t := &Trace{Header: Header{Base: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, Source: "test", Breakers: []*Lane{l}, Complete: true}
	t.Began, t.Ended = t.Base, t.at(max(total, l.calls[len(l.calls)-1].Ended))
	t.finish()
	return t
}

// censor returns what a recording of t would hold if a breaker with settings s
// had guarded it.
func censor(t *Trace, s breaker.Settings) *Trace {
	out := *t
	out.Breakers, out.Calls = nil, 0
	for _, l := range t.Breakers {
		c := &Lane{ID: l.ID, Settings: s.WithDefaults(), Fresh: true}
		p := newPlayer(t.Base, s, new(time.Duration), false)
		seen := t.survey()
		o := newOrder(seen.of(l), seen.horizon)
		for i := range l.calls {
			o.add(&l.calls[i])
		}
		o.finish()
		for _, st := range o.out {
			p.advance(st.at)
			switch {
			case !st.begin && p.runs[st.slot]:
				p.end(&st, 0)
				c.calls = append(c.calls, st.call)
			case st.begin && !p.begin(st.slot):
				c.calls = append(c.calls, tape.Call{Began: st.at, Ended: st.at + 1, What: tape.Many(1).Of(1)})
			}
		}
		out.Breakers = append(out.Breakers, c)
	}
	out.finish()
	return &out
}

// outages is an hour with an outage in each ten minutes.
func outages(seed uint64) *Trace {
	var ill []sickness
	for i := range 6 {
		from := time.Duration(i)*10*time.Minute + 3*time.Minute
		ill = append(ill, sickness{from, from + 40*time.Second, []float64{1, .6}[i%2], 5 * time.Millisecond})
	}
	return synth(seed, 20, time.Hour, .01, ill...)
}

func run(t *testing.T, trace *Trace, cs ...Candidate) *Report {
	t.Helper()
	r, err := Run(context.Background(), trace, RunOptions{}, cs...)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		// P4
		if m := x.Metrics; m.Ran+m.Rejected+m.Unknown != m.Demand || m.Demand != trace.Calls+trace.Rejected {
			t.Errorf("%s: %d ran, %d rejected and %d unknown, want %d together, and %d", x.Name, m.Ran, m.Rejected, m.Unknown, m.Demand, trace.Calls+trace.Rejected)
		}
	}
	return r
}

// The episodes are those that the generator made, within half a second.
func TestEpisodes(t *testing.T) {
	r := run(t, outages(1), AsRecorded)
	if len(r.Episodes) != 6 {
		t.Fatalf("%d episodes, want 6: %+v", len(r.Episodes), r.Episodes)
	}
	base := outages(1).Base
	for i, e := range r.Episodes {
		from := base.Add(time.Duration(i)*10*time.Minute + 3*time.Minute)
		if d := e.Began.Sub(from).Abs(); d > 500*time.Millisecond {
			t.Errorf("episode %d begins %v off", i, d)
		}
		if d := e.Ended.Sub(from.Add(40 * time.Second)).Abs(); d > 500*time.Millisecond {
			t.Errorf("episode %d ends %v off", i, d)
		}
	}
	if r := run(t, synth(3, 50, 20*time.Minute, .05), AsRecorded); len(r.Episodes) != 0 {
		t.Errorf("%d episodes where there is none: %+v", len(r.Episodes), r.Episodes)
	}
}

// P9: where every call has an outcome, the figures are exact, and they are the
// truth that the generator knows.
func TestRunExact(t *testing.T) {
	s := breaker.Settings{FailMax: 5, ResetTimeout: 5 * time.Second}
	r := run(t, outages(1), With("five", s), With("never", breaker.Settings{FailMax: -1}))
	five, never := r.Results[0], r.Results[1]
	for _, f := range five.Figures {
		if f.Trust != Exact || f.Low != f.Value || f.High != f.Value {
			t.Errorf("%+v, want exact", f)
		}
	}
	if five.Warning != "" || five.Coverage != 1 {
		t.Errorf("warning %q, coverage %v", five.Warning, five.Coverage)
	}
	// Outages are found after five failures at 20 calls a second, and closed at
	// most a reset timeout and a probe after their end.
	if m := five.Metrics; m.Missed != 0 || m.FalseTrips != 0 || m.Trips < 6 || len(m.Delays) != 6 ||
		quantile(m.Delays, 1) > 5*time.Second || quantile(m.Recoveries, 1) > 6*time.Second || m.FalseOut > 6*6*20 || m.FalseOut == 0 {
		t.Errorf("five: %+v", m)
	}
	if m := never.Metrics; m.Trips != 0 || m.Missed != 6 || m.Rejected != 0 || m.Wasted < 6*20*40/2 || m.Probes != 0 {
		t.Errorf("never: %+v", m)
	}
	if five.Metrics.Wasted >= never.Metrics.Wasted/4 {
		t.Errorf("%d calls wasted with a breaker and %d without", five.Metrics.Wasted, never.Metrics.Wasted)
	}
}

// P3: under the settings that were in effect nothing is unknown, and detection
// and trips are exact.
func TestRunAsRecorded(t *testing.T) {
	s := breaker.Settings{FailMax: 5, ResetTimeout: 20 * time.Second}
	full := outages(2)
	truth := run(t, full, With("truth", s)).Results[0]
	got := run(t, censor(full, s), AsRecorded).Results[0]
	if got.Metrics.Unknown != 0 || got.Warning != "" {
		t.Errorf("%d calls are unknown, warning %q", got.Metrics.Unknown, got.Warning)
	}
	for _, key := range []string{"trips", "missed", "probes_per_minute"} {
		if g, w := got.Figure(key), truth.Figure(key); g.Value != w.Value || g.Trust != Exact {
			t.Errorf("%s: got %+v, want %v, exact", key, g, w.Value)
		}
	}
	// How rejected calls would have ended is an assumption, and the truth is
	// within its range here.
	in, out := got.Figure("false_rejects_in"), got.Figure("false_rejects_out")
	if sum := truth.Metrics.FalseIn + truth.Metrics.FalseOut; out.Trust != Assumed || float64(sum) > in.High+out.High || float64(sum) < in.Low+out.Low {
		t.Errorf("false rejects: got %+v and %+v, want %d within", in, out, sum)
	}
}

// Stricter questions are answered, looser ones warned of.
func TestRunHonesty(t *testing.T) {
	recorded := breaker.Settings{FailMax: 5, ResetTimeout: time.Minute}
	full := outages(4)
	trace := censor(full, recorded)
	looser := breaker.Settings{FailMax: 5, ResetTimeout: 5 * time.Second}
	longer := breaker.Settings{FailMax: 5, ResetTimeout: 2 * time.Minute}
	r := run(t, trace, With("looser", looser), With("longer", longer))
	if x := r.Results[0]; x.Warning == "" || x.Figure("trips").Trust != Assumed || x.Coverage >= 1 || x.Metrics.Deciding == 0 {
		t.Errorf("looser: warning %q, trips %+v, coverage %v", x.Warning, x.Figure("trips"), x.Coverage)
	} else if f := x.Figure("wasted"); f.Low == f.High {
		t.Errorf("looser: %+v, want a range", f)
	}
	if x := r.Results[1]; x.Coverage < .99 {
		t.Errorf("longer: coverage %v", x.Coverage)
	}
}

// P8: results do not depend on how many candidates run.
func TestRunIndependent(t *testing.T) {
	trace := censor(outages(5), breaker.Settings{})
	jitter := breaker.Recommended()
	var many []Candidate
	for i := range 10 {
		many = append(many, With("x", breaker.Settings{FailMax: 2 + i}))
	}
	all := run(t, trace, append(many, With("y", jitter))...)
	one := run(t, trace, With("y", jitter))
	if a, b := all.Results[10], one.Results[0]; !reflect.DeepEqual(a, b) {
		t.Errorf("got %+v alone, %+v with others", b, a)
	}
}

func TestRunErrors(t *testing.T) {
	trace := outages(1)
	if _, err := Run(t.Context(), trace, RunOptions{}, With("x", breaker.Settings{FailMax: 1 << 30})); !errors.Is(err, breaker.ErrSettings) {
		t.Errorf("got %v, want ErrSettings", err)
	}
	if _, err := Run(t.Context(), trace, RunOptions{Sick: 2}, AsRecorded); err == nil {
		t.Error("Sick of 2 is accepted")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Run(ctx, trace, RunOptions{}, AsRecorded); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if _, err := Patch("x", map[string]string{"fail_maximum": "3"}); !errors.Is(err, breaker.ErrSettings) {
		t.Errorf("got %v, want ErrSettings", err)
	}
}

// A queue that gets slower the fuller it is makes an episode load-sensitive; a
// dependency that fails whatever its load is does not.
func TestLoadSensitive(t *testing.T) {
	if r := run(t, outages(1), AsRecorded); r.Episodes[0].LoadSensitive {
		t.Error("an outage that does not depend on load is said to")
	}
	trace := synth(1, 200, time.Minute, .001)
	l := trace.Breakers[0]
	for i := range l.calls {
		// From second 30 on each call waits for more and more of those before it.
		if x := l.calls[i].Began - 30*time.Second; x > 0 {
			took := min(x/8, 2*time.Second)
			l.calls[i].Ended = l.calls[i].Began + took
			if took > time.Second {
				l.calls[i].What = tape.Is(uint8(breaker.Failure), tape.Whole, 0).Of(1)
			}
		}
	}
	trace.finish()
	r, err := Run(t.Context(), trace, RunOptions{}, AsRecorded)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Episodes) == 0 || !r.Episodes[0].LoadSensitive || len(r.Notes) == 0 {
		t.Errorf("%+v, notes %q", r.Episodes, r.Notes)
	}
}

func BenchmarkRun(b *testing.B) {
	trace := synth(1, 1000, 20*time.Minute, .01, sickness{5 * time.Minute, 6 * time.Minute, 1, 5 * time.Millisecond})
	for name, s := range map[string]breaker.Settings{
		"consecutive": {}, "recommended": breaker.Recommended(), "last calls": {FailMax: -1, FailureRate: .5, WindowCalls: 100}, "rate": {FailMax: -1, FailureRate: .5},
	} {
		for _, n := range []int{1, 200} {
			b.Run(name+"/"+map[int]string{1: "one", 200: "200 candidates"}[n], func(b *testing.B) {
				cs := make([]Candidate, n)
				for i := range cs {
					cs[i] = With("x", s)
				}
				for b.Loop() {
					if _, err := Run(b.Context(), trace, RunOptions{}, cs...); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(trace.Calls)*float64(n)*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			})
		}
	}
}

// P3 for what the recorder wrote: under the settings that were in effect no call
// is unknown, whatever the rules are, and the trips are those of the recording.
func TestRunOfRecordings(t *testing.T) {
	for name, s := range map[string]breaker.Settings{
		"consecutive": {ResetTimeout: 10 * time.Second},
		"recommended": breaker.Recommended(),
		"rate":        {FailMax: -1, FailureRate: .4, Window: 5 * time.Second, ResetTimeout: 5 * time.Second},
		"slow":        {FailMax: -1, SlowCall: 300 * time.Millisecond, SlowRate: .5, ResetTimeout: 5 * time.Second},
		"ramp":        {FailMax: 4, ResetTimeout: 3 * time.Second, Probes: 2, SuccessThreshold: 3, Ramp: 20 * time.Second},
	} {
		trace := read(t, outage(t, s, Options{}))
		trips := 0
		for _, m := range trace.Breakers[0].moves {
			if m.Transition.From == breaker.Closed && m.Transition.To == breaker.Open {
				trips++
			}
		}
		x := run(t, trace, AsRecorded).Results[0]
		if f := x.Figure("trips"); x.Metrics.Unknown != 0 || f.Trust != Exact || f.Value != float64(trips) || x.Warning != "" || trips == 0 {
			t.Errorf("%s: %d calls unknown, trips %+v, want %d; %s", name, x.Metrics.Unknown, f, trips, x.Warning)
		}
	}
}
