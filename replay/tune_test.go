package replay

import (
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

func TestTune(t *testing.T) {
	trace := outages(6)
	trace.Breakers[0].Settings = breaker.Settings{}.WithDefaults()
	got, err := Tune(t.Context(), trace, TuneOptions{Goal: Goal{Detect: 5 * time.Second, FalseTrips: Rate{1, time.Hour}, Recovery: 30 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	best := got.Best[0]
	// The truth is known here: an open time of a minute rejects good calls long
	// after each outage.
	if best.Settings.ResetTimeout >= time.Minute || best.Cost >= got.Current.Cost || best.SavesLow <= 0 || best.Saves < best.SavesLow || best.Saves > best.SavesHigh {
		t.Errorf("best is %q at %v, saving %v [%v, %v]; now %v", best.Name, best.Cost, best.Saves, best.SavesLow, best.SavesHigh, got.Current.Cost)
	}
	for _, x := range append(got.Best, got.Others...) {
		if quantile(x.Metrics.Delays, 1) > 5*time.Second || x.Metrics.Missed > 0 || x.Metrics.FalseTrips > 1 || quantile(x.Metrics.Recoveries, 1) > 30*time.Second {
			t.Errorf("%q does not meet the goal: %+v", x.Name, x.Metrics)
		}
		if x.Cost < x.Low || x.Cost > x.High {
			t.Errorf("%q: cost %v is outside [%v, %v]", x.Name, x.Cost, x.Low, x.High)
		}
	}
	if n := len(got.Best) + len(got.Others) + got.Failed; n != len(Candidates())+1 || got.Failed == 0 {
		t.Errorf("%d candidates, of which %d failed, want %d", n, got.Failed, len(Candidates())+1)
	}
	for _, x := range got.Others {
		if x.Cost < slices.MinFunc(got.Best, func(a, b Choice) int { return int(a.Cost - b.Cost) }).Cost {
			t.Errorf("%q costs less than the best", x.Name)
		}
	}
	again, err := Tune(t.Context(), trace, TuneOptions{Goal: Goal{Detect: 5 * time.Second, FalseTrips: Rate{1, time.Hour}, Recovery: 30 * time.Second}})
	if err != nil || again.Best[0].Name != best.Name || again.Best[0].Low != best.Low {
		t.Errorf("the second answer differs: %v", err)
	}
}

// What is learnt from one day holds on another: the choice costs no more there
// than the settings that were in effect.
func TestTuneHoldsElsewhere(t *testing.T) {
	trace, other := outages(7), outages(8)
	trace.Breakers[0].Settings = breaker.Settings{}.WithDefaults()
	got, err := Tune(t.Context(), trace, TuneOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other.Breakers[0].Settings = breaker.Settings{}.WithDefaults()
	r := run(t, other, AsRecorded, got.Best[0].Candidate)
	now, then := r.Results[0].Metrics, r.Results[1].Metrics
	if then.FalseIn+then.FalseOut >= now.FalseIn+now.FalseOut {
		t.Errorf("%q rejects %d good calls elsewhere, the defaults %d", got.Best[0].Name, then.FalseIn+then.FalseOut, now.FalseIn+now.FalseOut)
	}
}

func TestTuneRefuses(t *testing.T) {
	few := synth(1, 20, 20*time.Minute, .01, sickness{time.Minute, 2 * time.Minute, 1, time.Millisecond})
	if _, err := Tune(t.Context(), few, TuneOptions{}); !errors.Is(err, ErrFewEpisodes) {
		t.Errorf("got %v, want ErrFewEpisodes", err)
	}
	got, err := Tune(t.Context(), outages(1), TuneOptions{Goal: Goal{Detect: time.Millisecond}})
	if !errors.Is(err, ErrNoCandidate) || got == nil || !regexp.MustCompile(`a detection delay of [\d.]+s, want at most [\d.e-]+s\b`).MatchString(err.Error()) {
		t.Errorf("got %v, want ErrNoCandidate with the limit that is not met", err)
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{"1/week": {1, 7 * 24 * time.Hour}, "12/min": {12, time.Minute}, "0/day": {0, 24 * time.Hour}, "0.5/hour": {.5, time.Hour}} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "1/", "/week", "-1/day", "NaN/day", "Inf/day", "1/fortnight", "one/day"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
