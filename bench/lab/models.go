package lab

import (
	"math/rand/v2"
	"time"
)

// models lists breakers for other languages, and of proxies, by what their
// documentation says: they are not the code that their users run.
func models() []contender {
	model := func(name string, build func() any) contender {
		return contender{name: name, kind: aModel, build: build}
	}
	states := func(r rule, open time.Duration) *threeStates { return &threeStates{rule: r, openFor: open, probes: 1} }
	return []contender{
		model("Resilience4j defaults: 50 % of the last 100, 60 s", func() any {
			s := states(&lastCalls{bad: make([]bool, 100), least: 100, limit: 0.5}, time.Minute)
			s.probes, s.judgeAll = 10, true
			return s
		}),
		model("Polly defaults: 10 % of 100 in 30 s, 5 s", func() any {
			return states(&rateIn{window: 30 * time.Second, least: 100, limit: 0.1}, 5*time.Second)
		}),
		model("opossum defaults: 50 % in 10 s, 30 s", func() any {
			return states(&rateIn{window: 10 * time.Second, least: 1, limit: 0.5}, 30*time.Second)
		}),
		model("Semian README: 3 failures in 10 s, 10 s", func() any {
			s := states(&failuresIn{limit: 3, span: 10 * time.Second}, 10*time.Second)
			s.probes = slots // no limit
			return s
		}),
		model("Envoy defaults: 5 in a row, 30 s times the ejections", func() any { return &envoy{} }),
		model("SRE book: throttle, K 2, 2 minutes", func() any {
			return &sreThrottle{random: rand.New(rand.NewPCG(3, 3))}
		}),
	}
}

// A rule decides when a closed breaker opens.
type rule interface {
	done(now time.Duration, failed bool) (open bool)
	reset()
}

// threeStates is the usual breaker around a rule.
type threeStates struct {
	rule     rule
	openFor  time.Duration
	probes   int  // at once while half-open; in all, if judgeAll
	judgeAll bool // close or open when all probes have ended, by their majority

	state             int // 0 closed, 1 open, 2 half-open
	until             time.Duration
	period            int // each state's number; results of other periods do not count
	out, good, failed int
	admitted          [slots]int // the period that let the call run
}

func (b *threeStates) closed(time.Duration) bool { return b.state == 0 }

func (b *threeStates) enter(state int) {
	b.state, b.out, b.good, b.failed = state, 0, 0, 0
	b.period++
}

func (b *threeStates) allow(now time.Duration, slot int) bool {
	if b.state == 1 && now >= b.until {
		b.enter(2)
	}
	if b.state == 1 || b.state == 2 && b.out >= b.probes {
		return false
	}
	b.out++
	b.admitted[slot] = b.period
	return true
}

func (b *threeStates) done(now time.Duration, slot int, failed bool) {
	switch {
	case b.admitted[slot] != b.period:
	case b.state == 2:
		b.probed(now, failed)
	case b.rule.done(now, failed):
		b.open(now)
	}
}

func (b *threeStates) open(now time.Duration) {
	b.until = now + b.openFor
	b.enter(1)
}

// probed counts the result of a probe.
func (b *threeStates) probed(now time.Duration, failed bool) {
	if failed {
		b.failed++
	} else {
		b.good++
	}
	ended := b.good + b.failed
	switch {
	case b.judgeAll && ended < b.probes:
	case b.judgeAll && 2*b.failed >= ended, !b.judgeAll && failed:
		b.open(now)
	default:
		b.rule.reset()
		b.enter(0)
	}
}

// rateIn is a failure rate over a window of time with ten steps.
type rateIn struct {
	window  time.Duration
	least   int
	limit   float64
	step    [10]int64
	n, fail [10]int
}

func (r *rateIn) done(now time.Duration, failed bool) bool {
	step := int64(now / (r.window / 10))
	i := step % 10
	if r.step[i] != step {
		r.step[i], r.n[i], r.fail[i] = step, 0, 0
	}
	r.n[i]++
	if !failed {
		return false
	}
	r.fail[i]++
	n, fail := 0, 0
	for j, s := range r.step {
		if s > step-10 {
			n += r.n[j]
			fail += r.fail[j]
		}
	}
	return n >= r.least && float64(fail) >= r.limit*float64(n)
}

func (r *rateIn) reset() { *r = rateIn{window: r.window, least: r.least, limit: r.limit} }

// lastCalls is a failure rate over the last calls.
type lastCalls struct {
	bad           []bool
	next, n, fail int
	least         int
	limit         float64
}

func (l *lastCalls) done(_ time.Duration, failed bool) bool {
	if l.n == len(l.bad) {
		l.fail -= int(one(l.bad[l.next]))
	} else {
		l.n++
	}
	l.bad[l.next] = failed
	l.fail += int(one(failed))
	l.next = (l.next + 1) % len(l.bad)
	return l.n >= l.least && float64(l.fail) >= l.limit*float64(l.n)
}

func (l *lastCalls) reset() { l.n, l.next, l.fail = 0, 0, 0 }

// failuresIn opens after so many failures within a span, whatever succeeds
// between them.
type failuresIn struct {
	limit int
	span  time.Duration
	at    []time.Duration
}

func (f *failuresIn) done(now time.Duration, failed bool) bool {
	if !failed {
		return false
	}
	keep := f.at[:0]
	for _, t := range f.at {
		if now-t < f.span {
			keep = append(keep, t)
		}
	}
	f.at = append(keep, now)
	return len(f.at) >= f.limit
}

func (f *failuresIn) reset() { f.at = f.at[:0] }

// envoy is its outlier detection for one host: five failures in a row eject it
// for 30 s times the number of ejections, until the next sweep, which comes every 10 s. It does
// not probe.
type envoy struct {
	row      int
	ejected  bool
	until    time.Duration
	times    int
	returned time.Duration
	period   int
	admitted [slots]int
}

const envoySweep = 10 * time.Second

func (e *envoy) closed(time.Duration) bool { return !e.ejected }

func (e *envoy) allow(now time.Duration, slot int) bool {
	if e.ejected {
		if now < e.until {
			return false
		}
		e.ejected, e.row, e.returned = false, 0, e.until
		e.period++
	}
	for e.times > 0 && now-e.returned > envoySweep { // each sweep without an ejection takes one back
		e.times--
		e.returned += envoySweep
	}
	e.admitted[slot] = e.period
	return true
}

func (e *envoy) done(now time.Duration, slot int, failed bool) {
	if e.ejected || e.admitted[slot] != e.period {
		return
	}
	if e.row++; !failed {
		e.row = 0
	}
	if e.row >= 5 {
		e.times++
		end := now + time.Duration(min(e.times, 10))*30*time.Second
		e.until = (end/envoySweep + 1) * envoySweep
		e.ejected = true
		e.period++
	}
}

// sreThrottle is the client-side throttling of the book "Site Reliability
// Engineering", over two minutes in steps of a second.
type sreThrottle struct {
	throttled
	random             *rand.Rand
	asks, accepts      [120]float64
	step               int64
	allAsks, allAccept float64
}

// at moves the window on, and returns the step of now.
func (t *sreThrottle) at(now time.Duration) int64 {
	const steps = int64(len(t.asks))
	step := int64(now / time.Second)
	for t.step = max(t.step, step-steps); t.step < step; {
		t.step++
		i := t.step % steps
		t.allAsks -= t.asks[i]
		t.allAccept -= t.accepts[i]
		t.asks[i], t.accepts[i] = 0, 0
	}
	return step % steps
}

func (t *sreThrottle) allow(now time.Duration, _ int) bool {
	i := t.at(now)
	reject := (t.allAsks - 2*t.allAccept) / (t.allAsks + 1)
	t.asks[i]++
	t.allAsks++
	return t.asked(t.random.Float64() >= reject)
}

func (t *sreThrottle) done(now time.Duration, _ int, failed bool) {
	if i := t.at(now); !failed {
		t.accepts[i]++
		t.allAccept++
	}
}
