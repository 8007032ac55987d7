package replay

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// ErrFormat means that a file is not a recording, or of a newer version.
var ErrFormat = errors.New("not a recording that this version can read")

// Trace is a recording. It is not modified by the functions of this package, so
// several of them may use it at once.
type Trace struct {
	Header
	// Source is the format that it was read from: "sgr", "csv", "jsonl", "otlp",
	// "nginx" or "envoy".
	Source string
	// Breakers are the breakers, in the order of their IDs. A breaker that is in
	// several recordings of a file, or whose key was forgotten meanwhile, is
	// several of them.
	Breakers []*Lane
	// Began and Ended are the span that the recording covers.
	Began, Ended time.Time
	// Calls is the number of calls with an outcome; Rejected that of calls that
	// were rejected, and have none.
	Calls, Rejected uint64
	// Lost is the number of calls that could not be recorded, Untracked that of
	// calls of keys that a full set did not remember.
	Lost, Untracked uint64
	// Complete is false if the file was cut, or the program ended while it was
	// being written.
	Complete bool
	// Notes are what a reader should know about the data, in a sentence each,
	// such as where a file is damaged.
	Notes []string

	file     *file   // where the calls are; nil: in Breakers
	surveyed *survey // nil: it is made when it is needed
}

// Lane is the calls of one breaker.
type Lane struct {
	ID       string
	Settings breaker.Settings // in effect at the beginning; zero if Source does not say
	// Fresh is true if the breaker had no evidence before its first call here.
	Fresh bool

	enrolled time.Duration
	stepBase *time.Duration
	calls    []tape.Call // in the order of their ends; empty if they are in a file
	moves    []moveRow   // in the order of their times
}

// Read reads a recording in the format of Recorder.WriteTo into memory; Open does
// not keep the calls of a file. If it is cut or damaged, the Trace holds what comes before that place, and its Notes say so.
// The memory that Read takes is limited by a small multiple of the bytes that it
// reads, and by ErrTooMany.
func Read(r io.Reader) (*Trace, error) {
	d := decoder{t: &Trace{Source: "sgr"}, limit: mostKept, sink: func(l *Lane, c *tape.Call) { l.calls = append(l.calls, *c) }}
	if err := d.run(bufio.NewReaderSize(r, 1<<16)); err != nil {
		return nil, err
	}
	d.t.finish()
	return d.t, nil
}

// decoder reads the frames of a file.
type decoder struct {
	t      *Trace
	ctx    context.Context // nil: it is not cancelled
	sink   func(l *Lane, c *tape.Call)
	again  []*Lane // when the file is read again: those of the first time
	all    []*Lane // in the order of the file
	made   int     // breakers so far
	frames int
	bytes  int64 // of whole frames
	calls  uint64
	limit  uint64 // of calls; 0: there is none
	// ran is the calls with an outcome, rejected the number of those without one.
	ran, rejected uint64

	shift time.Duration    // from the times of this recording to those of the Trace
	lanes map[uint32]*Lane // of this recording
	last  time.Duration    // the end of the last call of this recording
	ended bool             // this recording has its last frame
	// Of those that are over: their number, and that of those without a last frame.
	recordings, unended int
	number              uint32 // of the last call, and its breaker
	lane                *Lane
}

// errCut means that the file ends within a frame, or is damaged from here on.
var errCut = errors.New("cut")

// errNoFrame means that a file was cut, or its program ended, before it held
// anything.
var errNoFrame = fmt.Errorf("%w: its first frame is cut or damaged", ErrFormat)

func (d *decoder) run(r *bufio.Reader) error {
	var m [len(magic)]byte
	switch n, err := io.ReadFull(r, m[:]); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it is empty", ErrFormat)
	case !strings.HasPrefix(magic, string(m[:n])):
		return fmt.Errorf("%w: it begins with %q, want %q", ErrFormat, m[:n], magic)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errNoFrame
	case err != nil:
		return err
	}
	d.bytes = int64(len(magic))
	in := readFrames(r)
	defer in.stop()
	for {
		f := in.next()
		switch {
		case d.lanes == nil && (errors.Is(f.err, io.EOF) || errors.Is(f.err, errCut)):
			return errNoFrame
		case errors.Is(f.err, io.EOF):
			d.close()
			d.noteEnds()
			return nil
		case errors.Is(f.err, errCut):
			d.note("the file is cut or damaged after call %d; the rest is left out", d.calls)
			d.ended = false
			d.close()
			return nil
		case f.err != nil:
			return f.err
		case d.ctx != nil && d.ctx.Err() != nil:
			return d.ctx.Err()
		}
		if err := d.take(f); err != nil {
			return err
		}
		d.frames++
		d.bytes += f.bytes
		in.giveBack(f)
	}
}

func (d *decoder) note(format string, args ...any) {
	d.t.Notes = append(d.t.Notes, fmt.Sprintf(format, args...))
}

// take adds the content of a frame to the trace. A frame with the right checksum
// and the wrong content was not written by a Writer.
func (d *decoder) take(f *frame) error {
	kind, p := f.kind, f.body()
	bad := func(what string, err error) error {
		return fmt.Errorf("%w: frame %d, %s: %w", ErrFormat, d.frames, what, err)
	}
	if kind != kindHeader && d.lanes == nil {
		return fmt.Errorf("%w: its first frame is of kind %q, want %q", ErrFormat, kind, kindHeader)
	}
	switch kind {
	case kindHeader:
		var h Header
		if err := json.Unmarshal(p, &h); err != nil {
			return bad("header", err)
		}
		if h.Version != version {
			return fmt.Errorf("%w: its version is %d, want %d", ErrFormat, h.Version, version)
		}
		return d.begin(h)
	case kindBreaker:
		var h laneHeader
		if err := json.Unmarshal(p, &h); err != nil {
			return bad("breaker", err)
		}
		if err := h.Settings.Validate(); err != nil {
			return bad("breaker", err)
		}
		return d.enter(h)
	case kindCalls:
		d.rows(f.calls)
		if d.limit > 0 && d.calls > d.limit {
			return tooMany()
		}
		if f.rows != nil {
			return bad("calls", f.rows)
		}
	case kindMoves:
		if d.again != nil {
			return nil // they are known
		}
		var rows []moveRow
		if err := json.Unmarshal(p, &rows); err != nil {
			return bad("transitions", err)
		}
		if err := d.moves(rows); err != nil {
			return bad("transitions", err)
		}
	case kindLost:
		n, k := binary.Uvarint(p)
		if k <= 0 {
			return bad("lost calls", errRow)
		}
		d.t.Lost += n
	case kindEnd:
		var e endRow
		if err := json.Unmarshal(p, &e); err != nil {
			return bad("end", err)
		}
		d.t.Untracked += e.Untracked
		d.last, d.ended = max(d.last, e.At), true
	default:
		if f.flags&flagMust != 0 {
			return fmt.Errorf("%w: frame %d is of the unknown kind %q", ErrFormat, d.frames, kind)
		}
	}
	return nil
}

// begin begins a recording: the first of the file, or one that was appended.
func (d *decoder) begin(h Header) error {
	if h.From < 0 || h.From > maxTime {
		return fmt.Errorf("%w: it begins %v after its base, want 0 to %v", ErrFormat, h.From, maxTime)
	}
	if d.lanes == nil {
		d.t.Header, d.t.Complete = h, true
		d.t.Began = h.Base.Add(h.From)
		d.t.Ended = d.t.Began
	} else {
		d.close()
	}
	d.lanes, d.ended, d.last, d.lane = map[uint32]*Lane{}, false, h.From, nil
	d.shift = h.Base.Sub(d.t.Base)
	if d.shift < -maxTime || d.shift > maxTime {
		return fmt.Errorf("%w: its recordings are %v apart, want at most %v", ErrFormat, d.shift, maxTime)
	}
	return nil
}

// noteEnds notes which recordings of a whole file have no end.
func (d *decoder) noteEnds() {
	const why = "the program ended, or the file was copied, before all of it was written"
	switch {
	case d.unended == 0:
	case d.recordings == 1:
		d.note("the end of the recording is missing: %s", why)
	default:
		d.note("the end of %d of the %d recordings is missing: %s", d.unended, d.recordings, why)
	}
}

// close ends a recording.
func (d *decoder) close() {
	d.recordings++
	if !d.ended {
		d.unended++
		d.t.Complete = false
		// Transitions are written before the calls that led to them. Those whose
		// calls are cut off say nothing.
		for _, l := range d.lanes {
			for len(l.moves) > 0 && l.moves[len(l.moves)-1].At > d.last+d.shift {
				l.moves = l.moves[:len(l.moves)-1]
			}
		}
	}
	if end := d.t.Base.Add(d.shift + d.last); end.After(d.t.Ended) {
		d.t.Ended = end
	}
}

// enter adds a breaker.
func (d *decoder) enter(h laneHeader) error {
	d.made++
	d.lane = nil
	if d.again != nil {
		if d.made > len(d.again) {
			return errChanged
		}
		d.lanes[h.Number] = d.again[d.made-1]
		return nil
	}
	l := &Lane{ID: h.Name, Settings: h.Settings.WithDefaults(), Fresh: h.Fresh, enrolled: h.Enrolled + d.shift, stepBase: h.StepBase}
	if h.Key != "" {
		l.ID += "/" + h.Key
	}
	if l.stepBase != nil {
		*l.stepBase += d.shift
	}
	// What was enrolled before the recording holds all calls has lost its
	// beginning.
	if h.Enrolled < d.t.From && d.shift == 0 {
		l.Fresh = false
	}
	d.lanes[h.Number] = l
	d.all = append(d.all, l)
	d.t.Breakers = append(d.t.Breakers, l)
	return nil
}

// rows passes on the calls of a frame.
func (d *decoder) rows(calls []tape.Call) {
	for i := range calls {
		c := &calls[i]
		if n := c.What.Number(); n != d.number || d.lane == nil {
			d.number, d.lane = n, d.lanes[n]
		}
		if d.lane == nil {
			d.t.Lost++ // the recorder had to forget its breaker
			continue
		}
		d.last = max(d.last, c.Ended)
		if c.Began != 0 {
			c.Began += d.shift
		}
		c.Ended += d.shift
		d.calls++
		switch c.What.Kind() {
		case tape.Rejected:
			d.rejected += uint64(c.What.Count())
		case tape.Tail:
		default:
			d.ran++
		}
		d.sink(d.lane, c)
	}
}

func (d *decoder) moves(rows []moveRow) error {
	for _, m := range rows {
		l := d.lanes[m.Number]
		switch {
		case l == nil:
			d.t.Lost++
			continue
		case (m.Transition == nil) == (m.Settings == nil):
			return errors.New("got a row with neither or both of a transition and settings, want one")
		case m.Transition != nil && m.Transition.OpenFor < 0, m.At < -maxTime, m.At > maxTime, m.Draw < 0, m.Draw >= 1, m.Units < 0, m.Attempt < 0:
			return errors.New("a time or a random number is out of range")
		case m.Settings != nil:
			if err := m.Settings.Validate(); err != nil {
				return err
			}
		}
		m.At += d.shift
		if m.StepBase != nil {
			*m.StepBase += d.shift
		}
		l.moves = append(l.moves, m)
	}
	return nil
}

// finish puts a trace in order.
func (t *Trace) finish() {
	t.sort()
	for _, l := range t.Breakers {
		byEnd := func(a, b tape.Call) int { return cmp.Compare(a.Ended, b.Ended) }
		if !slices.IsSortedFunc(l.calls, byEnd) {
			slices.SortStableFunc(l.calls, byEnd)
		}
		for i := range l.calls {
			if w := l.calls[i].What; w.Kind() == tape.Rejected {
				t.Rejected += uint64(w.Count())
			} else if w.Kind() != tape.Tail {
				t.Calls++
			}
		}
	}
}

// at returns the wall clock's time of a time in the trace.
func (t *Trace) at(d time.Duration) time.Time { return t.Base.Add(d) }
