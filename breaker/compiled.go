package breaker

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// compiled is settings in effect, with the values that the engine derives from
// them. It is never modified. A manager or set compiles its settings once, and
// all breakers with these settings share the result, see also compileNew.
type compiled struct {
	Settings                 // with defaults filled in
	version    uint64        // of the settings: 1, and one more with each Update
	flags      uint64        // the bits of the word that these settings decide
	failUnit   int           // units that a failure adds to the failure count; above 1, a success takes back 1
	failLimit  int           // FailMax in units; negative if the rule is off
	dated      bool          // the rule needs to know when failures happen: FailFor or FailWithin is set
	step       *clock        // the clock of a window of time; nil if there is no such window
	stepsBegan time.Duration // from the base of step to that of timer, if both are set
	timer      *clock        // the clock that times calls; nil if calls are not timed
	exact      bool          // calls are timed by the real clock: SlowCall is too short for the steps of timer, or calls are recorded
	tape       *tape.Tape    // where calls are recorded; nil if they are not
	shadows    *shadows      // nil if there are none
}

// compile fills in the defaults of valid settings and derives everything else.
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
		r.flags |= flagCheckCtx // a single misjudged call would open the breaker
	}
	r.setObservers(c)
	return r
}

// setObservers sets how calls are timed, whether they are recorded, and whether
// shadows judge them.
func (r *compiled) setObservers(c *config) {
	r.flags &^= flagsTaped
	r.timer, r.exact, r.tape, r.shadows = nil, false, c.tape.Load(), nil
	if r.SlowCall > 0 || r.tape != nil || c.clock.Timed() {
		r.flags |= flagTimed
		r.timer = c.fine.get(c.clock)
		// A virtual clock costs nothing to read, and a replay must judge by the
		// times that were recorded.
		r.exact = r.tape != nil || r.SlowCall < exactBelow || c.clock != nil
	}
	if r.step != nil && r.timer != nil {
		r.stepsBegan = r.timer.base.Sub(r.step.base)
	}
	if s := c.shadows.Load(); s != nil && len(s.list) > 0 {
		r.shadows = s
	}
	if r.tape != nil || r.shadows != nil {
		r.flags |= flagsTaped // rejected calls take the slow path, too, see fastRejection
	}
}

// failures converts units to a number of failures, rounded up.
func (r *compiled) failures(units int) int {
	return (units + r.failUnit - 1) / r.failUnit
}

// forgiven returns the failure count after a success, in units.
func (r *compiled) forgiven(units int) int {
	if r.SuccessesToForgive <= 0 {
		return 0
	}
	return max(0, units-1)
}

// latest is the last result of compileNew that may be shared. A recording and
// shadows are attached later, to a copy (see observed), so it never has any.
var latest atomic.Pointer[compiled]

// compileNew compiles the settings that a breaker or set is created with. Programs
// often create many breakers with the same settings, one after the other. Those
// share the result, which is larger than a breaker, unless it has a clock, which
// must not be shared (I10), or depends on options.
func (c *config) compileNew(s Settings) *compiled {
	if c.options != &noOptions {
		return c.compile(s, 1)
	}
	if r := latest.Load(); r != nil && r.Settings == s.WithDefaults() {
		return r
	}
	r := c.compile(s, 1)
	if r.step == nil && r.timer == nil {
		latest.Store(r)
	}
	return r
}

// fineClock creates the clock that times calls when settings first need it. A
// manager has one for all its breakers.
type fineClock struct {
	once  sync.Once
	clock *clock
}

const (
	fineStep = 10 * time.Millisecond
	// exactBelow is the SlowCall below which the real clock is read. A step of
	// the fine clock would be more than a twentieth of what is measured, and a
	// late timer would add to that.
	exactBelow = 20 * fineStep
)

func (f *fineClock) get(source *vtime.Source) *clock {
	f.once.Do(func() {
		f.clock = newClock(source, fineStep)
		f.clock.base = f.clock.base.Add(-fineStep) // so that no call begins at 0, which means "not timed"
	})
	return f.clock
}

// began returns the time now on the clock that times calls.
func (r *compiled) began() time.Duration { return r.timer.now(r.exact) }

// quickNow reports whether a call that began then is not slow, as far as a look
// at the coarse clock can show. It is small enough to be inlined. If it returns
// false, slow must decide.
func (r *compiled) quickNow(began time.Duration) bool {
	step, ok := r.timer.cached()
	return ok && !r.exact && time.Duration(step)*fineStep-began < r.SlowCall
}

// slowSince reports whether a call that began then and ends now is slow, and how
// long it took.
func (r *compiled) slowSince(began time.Duration, took *time.Duration) bool {
	*took = r.timer.now(r.exact) - began
	return r.slow(*took)
}

// slow reports whether a call that took this long is slow.
func (r *compiled) slow(took time.Duration) bool {
	return r.SlowCall > 0 && took >= r.SlowCall
}

// maxOpenFor limits a growing open time to what a timer can hold, jitter
// included: about 146 years.
const maxOpenFor = float64(math.MaxInt64 / 2)
