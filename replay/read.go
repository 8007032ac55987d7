package replay

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// ErrFormat means that a file is not a recording, or of a newer version.
var ErrFormat = errors.New("not a recording that this version can read")

// Trace is a recording in memory. It is not modified by the functions of this
// package, so several of them may use it at once.
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
}

// Lane is the calls of one breaker.
type Lane struct {
	ID       string
	Settings breaker.Settings // in effect at the beginning; zero if Source does not say
	// Fresh is true if the breaker had no evidence before its first call here.
	Fresh bool

	enrolled time.Duration
	stepBase *time.Duration
	calls    []tape.Call // in the order of their ends
	moves    []moveRow   // in the order of their times
}

// Open reads a .sgr file.
func Open(name string) (*Trace, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Read reads a recording in the format of Recorder.WriteTo. If it is cut or
// damaged, the Trace holds what comes before that place, and its Notes say so.
// The memory that Read takes is limited by a small multiple of the bytes that it
// reads.
func Read(r io.Reader) (*Trace, error) {
	d := decoder{r: bufio.NewReaderSize(r, 1<<16), t: &Trace{Source: "sgr"}}
	if err := d.run(); err != nil {
		return nil, err
	}
	d.t.finish()
	return d.t, nil
}

// decoder reads the frames of a file.
type decoder struct {
	r       *bufio.Reader
	t       *Trace
	frames  int
	calls   uint64
	shift   time.Duration    // from the times of this recording to those of the Trace
	lanes   map[uint32]*Lane // of this recording
	last    time.Duration    // the end of the last call of this recording
	ended   bool             // this recording has its last frame
	payload []byte
}

// errCut means that the file ends within a frame, or is damaged from here on.
var errCut = errors.New("cut")

func (d *decoder) run() error {
	var m [len(magic)]byte
	if n, err := io.ReadFull(d.r, m[:]); err != nil || string(m[:]) != magic {
		return fmt.Errorf("%w: it begins with %q, want %q", ErrFormat, m[:n], magic)
	}
	for {
		kind, flags, payload, err := d.frame()
		switch {
		case errors.Is(err, io.EOF):
			d.close()
			return nil
		case errors.Is(err, errCut):
			d.note("the file is cut or damaged after call %d; the rest is left out", d.calls)
			d.ended = false
			d.close()
			return nil
		case err != nil:
			return err
		}
		if err := d.take(kind, flags, payload); err != nil {
			return err
		}
		d.frames++
	}
}

func (d *decoder) note(format string, args ...any) {
	d.t.Notes = append(d.t.Notes, fmt.Sprintf(format, args...))
}

// frame reads a frame. The payload is valid until the next one.
func (d *decoder) frame() (kind, flags byte, payload []byte, err error) {
	// Another file may have been appended.
	for {
		b, _ := d.r.Peek(len(magic))
		if string(b) != magic {
			break
		}
		_, _ = d.r.Discard(len(magic))
	}
	var f [frameBytes]byte
	n, err := io.ReadFull(d.r, f[:])
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return 0, 0, nil, io.EOF
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return 0, 0, nil, err
	case err != nil:
		return 0, 0, nil, errCut
	}
	length := binary.LittleEndian.Uint32(f[6:])
	if binary.LittleEndian.Uint32(f[:]) != frameSync || length > maxPayload {
		return 0, 0, nil, errCut
	}
	// At most maxPayload, so a hostile length does no harm.
	d.payload = append(d.payload[:0], f[:]...)
	d.payload = slices.Grow(d.payload, int(length))[:frameBytes+int(length)]
	if _, err := io.ReadFull(d.r, d.payload[frameBytes:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, 0, nil, errCut
		}
		return 0, 0, nil, err
	}
	if frameSum(d.payload) != binary.LittleEndian.Uint32(f[10:]) {
		return 0, 0, nil, errCut
	}
	return f[4], f[5], d.payload[frameBytes:], nil
}

// take adds the content of a frame to the trace. A frame with the right checksum
// and the wrong content was not written by a Writer.
func (d *decoder) take(kind, flags byte, p []byte) error {
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
		d.lane(h)
	case kindCalls:
		if err := d.rows(p); err != nil {
			return bad("calls", err)
		}
	case kindMoves:
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
		if flags&flagMust != 0 {
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
	d.lanes, d.ended, d.last = map[uint32]*Lane{}, false, h.From
	d.shift = h.Base.Sub(d.t.Base)
	if d.shift < -maxTime || d.shift > maxTime {
		return fmt.Errorf("%w: its recordings are %v apart, want at most %v", ErrFormat, d.shift, maxTime)
	}
	return nil
}

// close ends a recording.
func (d *decoder) close() {
	if d.lanes == nil {
		d.note("the file holds no recording")
		return
	}
	if !d.ended {
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

func (d *decoder) lane(h laneHeader) {
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
	d.t.Breakers = append(d.t.Breakers, l)
}

func (d *decoder) rows(p []byte) error {
	n, k := binary.Uvarint(p)
	if k <= 0 || n > uint64(len(p))/minRowBytes {
		return errRow
	}
	p = p[k:]
	var s rowState
	for range n {
		var c tape.Call
		var err error
		if p, err = s.row(p, &c); err != nil {
			return err
		}
		l := d.lanes[c.What.Number()]
		if l == nil {
			d.t.Lost++ // the recorder had to forget its breaker
			continue
		}
		d.last = max(d.last, c.Ended)
		if c.Began != 0 {
			c.Began += d.shift
		}
		c.Ended += d.shift
		l.calls = append(l.calls, c)
		d.calls++
	}
	return nil
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
	slices.SortStableFunc(t.Breakers, func(a, b *Lane) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.enrolled, b.enrolled))
	})
	for _, l := range t.Breakers {
		byEnd := func(a, b tape.Call) int { return cmp.Compare(a.Ended, b.Ended) }
		if !slices.IsSortedFunc(l.calls, byEnd) {
			slices.SortStableFunc(l.calls, byEnd)
		}
		slices.SortStableFunc(l.moves, func(a, b moveRow) int { return cmp.Compare(a.At, b.At) })
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
