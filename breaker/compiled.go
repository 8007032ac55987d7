package breaker

import (
	"math"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// compiled is settings in effect, with what the engine derives from them. It is
// never changed. A manager or set compiles its settings once, and all breakers
// with these settings share the result.
type compiled struct {
	Settings             // defaults filled in
	version   uint64     // of the settings: 1, and one more with each Update
	flags     uint64     // bits of the word that these settings decide
	failUnit  int        // what a failure adds to the word's failure count; a success takes back 1 if it is above 1
	failLimit int        // FailMax in units; below 0: no such rule
	dated     bool       // the consecutive rule needs the time of failures
	step      *clock     // what the window of time counts steps by; nil: no such window
	timer     *clock     // what times the calls; nil: calls are not timed
	exact     bool       // they are timed by the exact clock: SlowCall is too short for timer's steps, or calls are recorded
	tape      *tape.Tape // where calls are recorded; nil: they are not
}

// compile fills in the defaults of valid settings and derives the rest.
func (c *config) compile(s Settings, version uint64) *compiled {
	r := &compiled{Settings: s.WithDefaults(), version: version}
	r.failUnit = max(1, r.SuccessesToForgive)
	r.failLimit = r.FailMax * r.failUnit
	r.dated = r.FailWithin > 0 || r.FailFor > 0
	if r.windowed(len(c.rules) > 0) {
		r.flags |= flagCounted
		if r.WindowCalls <= 0 {
			r.step = newClock(c.clock, r.Window/windowSteps)
		}
	}
	if c.bypass {
		r.flags |= flagBypass
	}
	if r.FailMax == 1 || r.flags&flagCounted != 0 && r.MinCalls == 1 {
		r.flags |= flagCheckCtx // one misjudged call would open it
	}
	r.setTimer(c)
	return r
}

// setTimer says how calls are timed, and whether they are recorded.
func (r *compiled) setTimer(c *config) {
	r.flags &^= flagsTaped
	r.timer, r.exact, r.tape = nil, false, c.tape.Load()
	if r.SlowCall > 0 || r.tape != nil {
		r.flags |= flagTimed
		r.timer = c.fine.get(c.clock)
		r.exact = r.tape != nil || r.SlowCall < exactBelow || c.clock != nil
	}
	if r.tape != nil {
		r.flags |= flagObserved
	}
}

// failures is units as a number of failures, rounded up.
func (r *compiled) failures(units int) int {
	return (units + r.failUnit - 1) / r.failUnit
}

// forgiven is what is left of units after a success.
func (r *compiled) forgiven(units int) int {
	if r.SuccessesToForgive <= 0 {
		return 0
	}
	return max(0, units-1)
}

// plainDefaults is the default settings as a breaker with no option has them:
// shared by all of those, as nothing in them is one owner's.
var plainDefaults = sync.OnceValue(func() *compiled {
	return (&config{options: &noOptions}).compile(Settings{}, 1)
})

// fineClock is the clock that times calls, made when settings first need it. A
// manager has one for all its breakers.
type fineClock struct {
	once  sync.Once
	clock *clock
}

const (
	fineStep = 10 * time.Millisecond
	// exactBelow is where a step of the fine clock would be a twentieth of what is
	// measured, and a late timer more: shorter limits read the real clock.
	exactBelow = 20 * fineStep
)

func (f *fineClock) get(source *vtime.Source) *clock {
	f.once.Do(func() {
		f.clock = newClock(source, fineStep)
		f.clock.base = f.clock.base.Add(-fineStep) // so that no call begins at 0, which says that it is not timed
	})
	return f.clock
}

// began is the time now on the clock that times the calls.
func (r *compiled) began() time.Duration { return r.timer.now(r.exact) }

// quickNow reports whether a look at the clock shows that a call which began
// then is not slow. It is small enough to be inlined; slow is the rest of it.
func (r *compiled) quickNow(began time.Duration) bool {
	step, ok := r.timer.cached()
	return ok && !r.exact && time.Duration(step)*fineStep-began < r.SlowCall
}

// slow reports whether a call that took so long is slow. The difference to the
// limit is taken of what was measured, so that no limit is too large.
func (r *compiled) slow(took time.Duration) bool {
	return r.SlowCall > 0 && took >= r.SlowCall
}

// maxOpenFor keeps a growing open time within what a timer can hold, jitter
// included: about 146 years.
const maxOpenFor = float64(math.MaxInt64 / 2)
