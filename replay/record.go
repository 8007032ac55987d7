package replay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// ErrRecording is returned by Record if the manager is being recorded already.
var ErrRecording = errors.New("the manager is being recorded already; close the other recorder first")

// Recorder records the calls of a manager's breakers until it is closed. Its
// methods may be called by many goroutines at once.
//
// A recorded call costs most often 56 ns more, most of it for reading the clock twice,
// and allocates nothing. An outcome that changes a count takes the lock of its
// breaker. Nothing else takes a lock, and no call waits for the memory: one that
// could not be recorded is counted, see Stats.
type Recorder struct {
	opts   Options
	m      *breaker.Manager
	tape   *tape.Tape
	base   time.Time     // the tape's times count from here
	began  time.Duration // when the recording began
	detach func()
	secret []byte   // for hashing keys
	trips  *tripper // nil if trips write nothing

	// mu guards the fields below. It is taken under breakers' locks, so its
	// holder must not call a breaker, except for methods that take no lock.
	mu      sync.Mutex
	numbers map[weak.Pointer[breaker.Breaker]]uint32
	entries map[uint32]*entry
	next    uint32 // the number for the next entry
	stale   map[weak.Pointer[breaker.Breaker]]bool
	log     moveLog
	closed  bool
}

// entry is what a recorder knows of a breaker that has a number.
type entry struct {
	ptr      weak.Pointer[breaker.Breaker]
	name     string
	key      string
	keyed    bool
	own      bool // it has settings of its own, apart from those of its set
	settings breaker.Settings
	stepBase time.Time
	enrolled time.Duration
}

// maxEntries limits the number of breakers that a recorder knows, because keys
// may be many. Breakers that are gone make room for others.
const maxEntries = 1 << 16

// entriesAtOnce is how many of them are looked at before the lock is released,
// and entriesPruned how many a new breaker looks at to find room. Calls wait
// meanwhile.
const (
	entriesAtOnce = 64
	entriesPruned = 16
)

// Record begins to record the calls of all breakers and sets of m, including
// those that are created later.
func Record(m *breaker.Manager, o Options) (*Recorder, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &Recorder{
		opts: o, m: m, secret: make([]byte, 32),
		numbers: map[weak.Pointer[breaker.Breaker]]uint32{},
		entries: map[uint32]*entry{},
	}
	_, _ = rand.Read(r.secret) // never returns an error
	if o.Dir != "" {
		if err := r.tryDir(); err != nil {
			return nil, err
		}
		r.trips = newTripper(r)
	}
	r.tape = tape.New(o.Bytes, tape.Hooks{
		Enroll:   func(b any, step time.Time) uint32 { return r.enroll(b.(*breaker.Breaker), step) },
		Forgot:   func(b any) { r.forgot(b.(*breaker.Breaker)) },
		Moved:    func(b, t any, how tape.Trace) { r.moved(b.(*breaker.Breaker), t.(*breaker.Transition), how) },
		HeldBack: func(b, t any) { r.heldBack(b.(*breaker.Breaker), t.(*breaker.Transition)) },
		Updated:  func(of any, step time.Time) { r.updated(of, step) },
	})
	base, detach, ok := tape.Engine.Attach(m, r.tape)
	if !ok {
		return nil, ErrRecording
	}
	r.mu.Lock()
	r.base, r.detach = base, detach
	r.mu.Unlock()
	// What has evidence now, after the recording has begun, may have evidence
	// that is not on the tape. It may also be on the tape: that only makes a
	// replay of this breaker begin later than it could.
	stale := map[weak.Pointer[breaker.Breaker]]bool{}
	for _, b := range m.Breakers() {
		if s := b.Status(); s.State != breaker.Closed || s.FailCount > 0 || s.Window.Calls > 0 || s.Admitted < 1 {
			stale[weak.Make(b)] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale, r.began = stale, time.Since(base)
	return r, nil
}

// Close ends the recording. What was recorded can still be written.
func (r *Recorder) Close() {
	r.mu.Lock()
	was := r.closed
	r.closed = true
	r.mu.Unlock()
	if was {
		return
	}
	r.detach()
	if r.trips != nil {
		r.trips.close()
	}
}

// Stats is what a recorder has done so far.
type Stats struct {
	Capacity  int           // calls that fit into the memory
	Span      time.Duration // the time that the memory covers now
	Lost      uint64        // calls and transitions that could not be recorded
	Untracked uint64        // calls of keys that a full set does not remember; they ran without a breaker
	Files     int           // files that trips have written
	Err       error         // why the last such file could not be written, or nil
}

// Stats returns what the recorder has done so far.
func (r *Recorder) Stats() Stats {
	s := Stats{Capacity: r.tape.Len()}
	s.Lost, s.Untracked = r.tape.Losses()
	now := time.Since(r.base)
	r.mu.Lock()
	s.Span = now - max(r.tape.Oldest(), r.began)
	s.Lost += r.log.lost
	r.mu.Unlock()
	if r.trips != nil {
		s.Files, s.Err = r.trips.state()
	}
	return s
}

// WriteTo writes what the memory holds as one .sgr file.
func (r *Recorder) WriteTo(w io.Writer) (int64, error) {
	p := newPump(r, w, true)
	err := p.pump()
	if err == nil {
		err = p.end()
	}
	return p.w.written, err
}

// pace is how often Stream writes. A crash loses the calls of this time.
const pace = time.Second

// Stream writes all calls from now on to w, until ctx is done or w fails. No call
// waits for w: if it is too slow, calls are lost, and the file says how many.
// The error is that of w, or nil if ctx was done.
func (r *Recorder) Stream(ctx context.Context, w io.Writer) error {
	p := newPump(r, w, false)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := p.pump(); err != nil {
				return err
			}
			return p.end()
		case <-tick.C:
			if err := p.pump(); err != nil {
				return err
			}
		}
	}
}

// since converts a time to one on the tape.
func (r *Recorder) since(t time.Time) time.Duration { return t.Sub(r.base) }

// stepBase converts the time at which the clock of a window began.
func (r *Recorder) stepBase(t time.Time) *time.Duration {
	if t.IsZero() {
		return nil
	}
	d := r.since(t)
	return &d
}

// enroll gives a breaker its number. The breaker's lock may be held.
func (r *Recorder) enroll(b *breaker.Breaker, step time.Time) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.enrollLocked(b, step)
}

func (r *Recorder) enrollLocked(b *breaker.Breaker, step time.Time) uint32 {
	p := weak.Make(b)
	if n := r.numbers[p]; n != 0 {
		return n
	}
	if len(r.entries) >= maxEntries {
		r.pruneLocked()
	}
	if len(r.entries) >= maxEntries || r.next == tape.MaxNumber {
		return 0
	}
	r.next++
	r.numbers[p] = r.next
	r.entries[r.next] = &entry{
		ptr: p, name: b.Name(), key: b.Key(), keyed: b.ID() != b.Name(),
		settings: b.Settings(), stepBase: step, enrolled: time.Since(r.base),
	}
	return r.next
}

// pruneLocked drops the entries of breakers that are gone and whose calls the
// tape no longer holds, of a few that it looks at. Go ranges over a map from a
// random position, so each time it looks at others.
func (r *Recorder) pruneLocked() {
	oldest := r.tape.Oldest()
	looked := 0
	for n, e := range r.entries {
		if looked++; looked > entriesPruned {
			return
		}
		if e.ptr.Value() == nil && e.enrolled < oldest {
			delete(r.entries, n)
			if r.numbers[e.ptr] == n {
				delete(r.numbers, e.ptr)
			}
			delete(r.stale, e.ptr)
		}
	}
}

// forgot makes the next call of a breaker that of another one.
func (r *Recorder) forgot(b *breaker.Breaker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := weak.Make(b)
	delete(r.numbers, p)
	delete(r.stale, p) // nothing is left of what it knew before the recording
}

// moved logs a transition. The breaker's lock is held.
func (r *Recorder) moved(b *breaker.Breaker, t *breaker.Transition, how tape.Trace) {
	r.mu.Lock()
	r.log.add(logged{number: r.numbers[weak.Make(b)], at: r.since(t.At), transition: t, trace: how})
	r.mu.Unlock()
	if r.trips != nil && t.From == breaker.Closed && t.To == breaker.Open && t.Cause != breaker.CauseOrder {
		r.trips.trip()
	}
}

// heldBack logs a trip that the cap prevented. The breaker's lock is held.
func (r *Recorder) heldBack(b *breaker.Breaker, t *breaker.Transition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.add(logged{number: r.numbers[weak.Make(b)], at: r.since(t.At), transition: t, held: true})
}

// updated logs new settings. The lock of the breaker or set is held.
func (r *Recorder) updated(of any, step time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.base)
	l := logged{at: now, stepBase: r.stepBase(step), settings: new(breaker.Settings)}
	switch x := of.(type) {
	case *breaker.Breaker:
		l.number, *l.settings = r.enrollLocked(x, step), x.Settings()
		r.log.add(l)
		if e := r.entries[l.number]; e != nil {
			e.own = e.keyed
		}
	case breaker.AnySet:
		// All keys without settings of their own follow. Those that enroll
		// later have them from the beginning.
		*l.settings = x.Settings()
		for n, e := range r.entriesInBatches() {
			if e.keyed && !e.own && e.name == x.Name() {
				l.number = n
				r.log.add(l)
			}
		}
	}
}

// entriesInBatches yields all entries. r.mu is held, and from time to time
// released for the calls that need it: an entry that comes or goes meanwhile may
// be missed.
func (r *Recorder) entriesInBatches() iter.Seq2[uint32, *entry] {
	return func(yield func(uint32, *entry) bool) {
		looked := 0
		for n, e := range r.entries {
			if !yield(n, e) {
				return
			}
			if looked++; looked%entriesAtOnce == 0 {
				r.mu.Unlock()
				runtime.Gosched()
				r.mu.Lock()
			}
		}
	}
}

// logged is an entry of a moveLog.
type logged struct {
	number     uint32
	at         time.Duration
	transition *breaker.Transition // nil: new settings
	trace      tape.Trace
	held       bool              // the cap prevented it
	settings   *breaker.Settings // nil: a transition
	stepBase   *time.Duration    // when the clock of the window began, or nil
}

// moveLog is the newest transitions and changes of settings.
type moveLog struct {
	ring  []logged
	added int
	lost  uint64 // those for which no breaker could be enrolled
}

// maxMoves limits a moveLog. An open breaker with a reset timeout of one second
// makes two transitions a second.
const maxMoves = 1 << 14

func (l *moveLog) add(x logged) {
	switch {
	case x.number == 0:
		l.lost++
		return
	case len(l.ring) < maxMoves:
		l.ring = append(l.ring, x)
	default:
		l.ring[l.added%maxMoves] = x
	}
	l.added++
}

// after returns the entries that were added after the first n, oldest first, and
// how many of them have been overwritten.
func (l *moveLog) after(n int) (list []logged, lost int) {
	first := max(n, l.added-len(l.ring))
	list = make([]logged, 0, l.added-first)
	for i := first; i < l.added; i++ {
		list = append(list, l.ring[i%maxMoves])
	}
	return list, first - n
}

// oldest returns the time since when the log holds everything.
func (l *moveLog) oldest() time.Duration {
	if l.added <= len(l.ring) {
		return 0
	}
	return l.ring[l.added%maxMoves].at
}

// settle is how long a pump waits for calls that have counted and are not on the
// tape yet: their goroutines may have been preempted in between.
const settle = 20 * time.Millisecond

// pump moves calls from a recorder to a file.
type pump struct {
	r       *Recorder
	w       *Writer
	all     bool // the whole memory, once
	from    time.Duration
	cursor  tape.Cursor
	moves   int // of the log, read so far
	pending []tape.Call
	known   map[uint32]bool // breakers that are in the file
	seen    uint64          // losses written so far
}

func newPump(r *Recorder, w io.Writer, all bool) *pump {
	p := &pump{r: r, w: NewWriter(w), all: all, cursor: r.tape.Now(), known: map[uint32]bool{}}
	r.mu.Lock()
	p.moves = r.log.added
	from := time.Since(r.base)
	if all {
		clear(p.cursor)
		p.moves = 0
		from = max(r.tape.Oldest(), r.log.oldest(), r.began)
	}
	p.from = from
	r.mu.Unlock()
	if !all {
		p.seen, _ = r.tape.Losses()
	}
	p.w.header(Header{
		Program: r.opts.Program, Keys: r.opts.Keys, Texts: r.opts.ErrorTexts,
		Base: r.base.Round(0), From: from, Go: runtime.Version(),
	})
	return p
}

// pump writes what has been recorded since the last time, in the order of the
// times at which calls ended.
func (p *pump) pump() error {
	r := p.r
	for _, b := range r.alive() {
		tape.Engine.Flush(b)
	}
	to := time.Since(r.base)
	// Every call that counted until then is on the tape soon.
	time.Sleep(settle)
	var lost uint64
	p.pending, lost = r.tape.Read(p.cursor, p.pending)
	if p.all {
		lost = 0 // calls before the beginning of the file are not missing in it
	}
	dropped, _ := r.tape.Losses()
	lost, p.seen = lost+dropped-p.seen, dropped
	slices.SortStableFunc(p.pending, func(a, b tape.Call) int { return cmp.Compare(a.Ended, b.Ended) })
	if p.all {
		// Some stripes of the tape hold older calls than others.
		p.pending = slices.DeleteFunc(p.pending, func(c tape.Call) bool { return c.Ended < p.from })
	}
	n, _ := slices.BinarySearchFunc(p.pending, to+1, func(c tape.Call, t time.Duration) int { return cmp.Compare(c.Ended, t) })
	r.mu.Lock()
	moves, missed := r.log.after(p.moves)
	p.moves += missed
	if p.all {
		missed = 0
		older := slices.IndexFunc(moves, func(l logged) bool { return l.at >= p.from })
		if older < 0 {
			older = len(moves)
		}
		p.moves += older
		moves = moves[older:]
	}
	// Later ones may be known before the calls that led to them.
	m := slices.IndexFunc(moves, func(l logged) bool { return l.at > to })
	if m < 0 {
		m = len(moves)
	}
	p.moves += m
	lost += uint64(missed)
	r.mu.Unlock()
	p.enter(p.pending[:n], moves[:m])
	p.w.write(p.pending[:n], r.rows(moves[:m]))
	p.w.lost(lost)
	p.pending = slices.Delete(p.pending, 0, n)
	return p.w.flush()
}

// enter writes the breakers that are new in the file.
func (p *pump) enter(calls []tape.Call, moves []logged) {
	var numbers []uint32
	add := func(n uint32) {
		if !p.known[n] {
			p.known[n] = true
			numbers = append(numbers, n)
		}
	}
	for _, c := range calls {
		add(c.What.Number())
	}
	for _, m := range moves {
		add(m.number)
	}
	for some := range slices.Chunk(numbers, entriesAtOnce) {
		for _, h := range p.r.lanes(some) {
			p.w.breaker(h.Number, h)
		}
	}
}

// end writes the last frame.
func (p *pump) end() error {
	_, untracked := p.r.tape.Losses()
	p.w.end(time.Since(p.r.base), untracked)
	return p.w.flush()
}

// rows returns logged entries as the file shows them.
func (r *Recorder) rows(moves []logged) []moveRow {
	rows := make([]moveRow, len(moves))
	for i, m := range moves {
		rows[i] = moveRow{
			Number: m.number, At: m.at, Held: m.held,
			Draw: m.trace.Draw, Move: m.trace.Move, Gen: m.trace.Gen, Units: m.trace.Units, Attempt: m.trace.Attempt,
		}
		if m.transition != nil {
			rows[i].Transition = r.texts(m.transition)
		} else {
			rows[i].Settings, rows[i].StepBase = m.settings, m.stepBase
		}
	}
	return rows
}

// alive returns the breakers that have a number.
func (r *Recorder) alive() (out []*breaker.Breaker) {
	var all []weak.Pointer[breaker.Breaker]
	r.mu.Lock()
	for _, e := range r.entriesInBatches() {
		all = append(all, e.ptr)
	}
	r.mu.Unlock()
	for _, ptr := range all {
		if b := ptr.Value(); b != nil {
			out = append(out, b)
		}
	}
	return out
}

// lanes describes breakers in a file.
func (r *Recorder) lanes(numbers []uint32) (out []laneHeader) {
	var found []*entry // never changed, except for own
	r.mu.Lock()
	for _, n := range numbers {
		if e := r.entries[n]; e != nil {
			found = append(found, e)
			out = append(out, laneHeader{Number: n, Fresh: !r.stale[e.ptr]})
		}
	}
	r.mu.Unlock()
	for i, e := range found {
		h := &out[i]
		h.Name, h.Settings, h.Enrolled, h.StepBase = e.name, e.settings, e.enrolled, r.stepBase(e.stepBase)
		if e.keyed {
			h.Key = r.keyText(h.Number, e.key)
		}
	}
	return out
}
