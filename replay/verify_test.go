package replay

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// P1: recorded in virtual time and replayed under the same settings, the same
// transitions follow, to the last field.
func TestVerifyVirtual(t *testing.T) {
	for name, s := range map[string]breaker.Settings{
		"consecutive":  {FailMax: 5, ResetTimeout: 10 * time.Second},
		"recommended":  breaker.Recommended(),
		"dated":        {FailMax: 3, FailWithin: 5 * time.Second, FailFor: 300 * time.Millisecond, ResetTimeout: 5 * time.Second},
		"rate":         {FailMax: -1, FailureRate: .4, Window: 5 * time.Second, MinCalls: 10, ResetTimeout: 5 * time.Second},
		"last calls":   {FailMax: -1, FailureRate: .3, WindowCalls: 40, ResetTimeout: 5 * time.Second},
		"confidence":   {FailMax: -1, FailureRate: .2, Confidence: .99, ResetTimeout: 5 * time.Second},
		"slow":         {FailMax: -1, SlowCall: 300 * time.Millisecond, SlowRate: .5, ResetTimeout: 5 * time.Second},
		"slow, exact":  {FailMax: -1, SlowCall: 60 * time.Millisecond, BadRate: .5, ResetTimeout: 5 * time.Second},
		"ramp, probes": {FailMax: 4, ResetTimeout: 3 * time.Second, ResetBackoff: 2, ResetMax: 20 * time.Second, ResetJitter: .3, Probes: 2, SuccessThreshold: 3, Ramp: 20 * time.Second, ProbeTimeout: 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			v := read(t, outage(t, s, Options{})).Verify()
			if !v.OK() || v.Reproduced == 0 || v.Unchecked > 0 {
				t.Errorf("%v; first difference: %v", v, v.First)
			}
			t.Log(v)
		})
	}
}

// P1 for settings and dependencies that nobody has thought of.
func FuzzVerify(f *testing.F) {
	for i := range 12 {
		f.Add(uint64(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := randomSettings(r)
		file := record(t, s, Options{}, func(m *breaker.Manager) { randomLoad(r, m) })
		v := read(t, file).Verify()
		if !v.OK() || v.Unchecked > 0 {
			t.Errorf("%v under %v: %v", v, s, v.First)
		}
	})
}

// randomSettings returns valid settings.
func randomSettings(r *rand.Rand) breaker.Settings {
	for {
		ms := func(least, most int) time.Duration {
			return time.Duration(least+r.IntN(most-least)) * time.Millisecond
		}
		maybe := func(d time.Duration) time.Duration {
			if r.IntN(3) > 0 {
				return 0
			}
			return d
		}
		s := breaker.Settings{
			FailMax: r.IntN(12) - 1, SuccessesToForgive: max(0, r.IntN(6)-3), FailWithin: maybe(ms(100, 5000)), FailFor: maybe(ms(10, 800)),
			ResetTimeout: ms(100, 20000), SuccessThreshold: r.IntN(4), Probes: r.IntN(4), ProbeTimeout: maybe(ms(50, 3000)),
			Window: ms(100, 10000), WindowCalls: max(0, r.IntN(60)-30), MinCalls: r.IntN(20),
			ResetBackoff: 1 + float64(r.IntN(3))*.7, ResetMax: maybe(ms(20000, 40000)), ResetJitter: float64(r.IntN(3)) * .3, Ramp: maybe(ms(500, 20000)),
		}
		switch r.IntN(4) {
		case 0:
			s.FailureRate = .05 + r.Float64()*.9
		case 1:
			s.FailureRate, s.Confidence = .2+r.Float64()*.5, .85+r.Float64()*.14
		case 2:
			s.SlowCall, s.SlowRate = ms(10, 600), .1+r.Float64()*.8
		case 3:
			s.SlowCall, s.BadRate = ms(10, 600), .1+r.Float64()*.8
		}
		if s.Validate() == nil {
			return s
		}
	}
}

// randomLoad calls a breaker and a set for some minutes, while people give orders.
func randomLoad(r *rand.Rand, m *breaker.Manager) {
	b := m.Breaker("b")
	keys, err := breaker.CreateSet[int](m, "keys", randomSettings(r), breaker.SetOptions{MaxKeys: 3, MaxEvidence: 4})
	if err != nil {
		panic(err)
	}
	d := &service{
		began: time.Now(), period: time.Duration(20+r.IntN(100)) * time.Second, illShare: r.Float64(),
		well: weather{r.Float64() * r.Float64() * .3, time.Duration(1+r.IntN(100)) * time.Millisecond},
		ill:  []weather{{r.Float64(), time.Duration(1+r.IntN(500)) * time.Millisecond}, {1, time.Duration(1+r.IntN(2000)) * time.Millisecond}},
	}
	stop := make(chan struct{})
	orders := rand.New(rand.NewPCG(r.Uint64(), 9))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(1 + orders.Int64N(int64(60*time.Second)))):
			}
			switch orders.IntN(7) {
			case 0:
				b.Open(breaker.Order{})
			case 1:
				b.Close(breaker.Order{})
			case 2:
				b.HalfOpen(breaker.Order{})
			case 3:
				b.ForceOpen(breaker.Order{For: 5 * time.Second})
			case 4:
				b.ForceClosed(breaker.Order{For: 15 * time.Second})
			case 5:
				_ = b.Update(randomSettings(orders))
			case 6:
				_ = keys.Update(randomSettings(orders))
			}
		}
	}()
	rs := rand.New(rand.NewPCG(r.Uint64(), 8))
	d.load(r, 3, 100*time.Millisecond, 5*time.Minute, func(ctx context.Context, worker int, fn func(context.Context) error) {
		if worker == 0 {
			_ = keys.Do(ctx, rs.IntN(5), fn)
			return
		}
		_ = b.Do(ctx, fn)
	})
	close(stop)
	<-done
}

// Other settings than those that were in effect do differ: Verify can fail.
func TestVerifyFindsOtherSettings(t *testing.T) {
	trace := read(t, outage(t, breaker.Settings{FailMax: 5, ResetTimeout: 10 * time.Second}, Options{}))
	for _, l := range trace.Breakers {
		l.Settings.FailMax = 6
	}
	v := trace.Verify()
	if v.OK() || v.First == nil || v.First.Why == "" || v.Reproduced == v.Transitions {
		t.Errorf("%v, first %v", v, v.First)
	}
	t.Log(v.First)
}

// A dump that begins in the middle, because the memory is small, is verified
// from the first call that shows what the breaker knew.
func TestVerifyFromTheMiddle(t *testing.T) {
	for name, s := range map[string]breaker.Settings{
		"consecutive": {ResetTimeout: 10 * time.Second},
		"rate":        {FailMax: -1, FailureRate: .4, ResetTimeout: 10 * time.Second},
	} {
		file := outage(t, s, Options{Bytes: 1 << 20})
		trace, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		v := trace.Verify()
		if !v.OK() || v.Reproduced < 5 || trace.Breakers[0].Fresh {
			t.Errorf("%s: %v; first difference: %v", name, v, v.First)
		}
		t.Log(name, v)
	}
}
