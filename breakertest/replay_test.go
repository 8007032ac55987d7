package breakertest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/breakertest"
)

const outage = "../replay/testdata/outage.sgr"

func TestPaymentsHandlesTheMarchOutage(t *testing.T) {
	payments := breaker.Settings{ResetTimeout: 20 * time.Second}
	breakertest.AssertReplay(t, "../replay/testdata/outage.sgr", payments, breakertest.ReplayLimit{
		Recovery: time.Minute, FalseTrips: breakertest.NoFalseTrips,
	})
}

// failures is a testing.TB that keeps what a test says when it fails.
type failures struct {
	testing.TB
	said []string
}

func (f *failures) Helper() {}
func (f *failures) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *failures) Fatal(args ...any) { f.said = append(f.said, fmt.Sprint(args...)); runtime.Goexit() }

func (f *failures) Fatalf(format string, args ...any) { f.Errorf(format, args...); runtime.Goexit() }

// assert returns what AssertReplay says.
func assert(t *testing.T, file string, s breaker.Settings, limit breakertest.ReplayLimit) string {
	f := &failures{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		breakertest.AssertReplay(f, file, s, limit)
	}()
	<-done
	return strings.Join(f.said, "\n")
}

func TestAssertReplay(t *testing.T) {
	recorded := breaker.Settings{ResetTimeout: 20 * time.Second}
	// Those that were in effect: every figure but the false rejects is exact.
	if said := assert(t, outage, recorded, breakertest.ReplayLimit{Recovery: time.Hour, FalseTrips: breakertest.NoFalseTrips}); said != "" {
		t.Errorf("the settings in effect: %s", said)
	}
	for _, tt := range []struct {
		s     breaker.Settings
		limit breakertest.ReplayLimit
		want  string
	}{
		{recorded, breakertest.ReplayLimit{Detect: time.Millisecond}, "the longest time in seconds until it opens"},
		{breaker.Settings{FailMax: -1}, breakertest.ReplayLimit{Detect: time.Hour}, "outages that are missed"},
		{recorded, breakertest.ReplayLimit{Recovery: time.Second}, "until it closes again"},
		{recorded, breakertest.ReplayLimit{FalseRejects: 1}, "rejected outside outages is 0–"},
		{breaker.Settings{FailMax: 1}, breakertest.ReplayLimit{FalseTrips: breakertest.NoFalseTrips}, "trips without an outage"},
		{breaker.Settings{FailMax: 1 << 30}, breakertest.ReplayLimit{}, "FailMax"},
	} {
		if said := assert(t, outage, tt.s, tt.limit); !strings.Contains(said, tt.want) {
			t.Errorf("%v, %+v: it says %q, want %q", tt.s, tt.limit, said, tt.want)
		}
	}
	if said := assert(t, "none.sgr", recorded, breakertest.ReplayLimit{}); !strings.Contains(said, "none.sgr") {
		t.Errorf("no file: it says %q", said)
	}
}
