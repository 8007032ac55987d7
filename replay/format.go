package replay

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// A .sgr file begins with magic, and is a sequence of frames after it:
//
//	bytes 0-3    frameSync
//	byte  4      kind
//	byte  5      flags
//	bytes 6-9    length of the payload, little-endian, at most maxPayload
//	bytes 10-13  CRC-32C of bytes 4 to 9 and the payload
//	then         the payload
//
// It is only appended to, one write for a group of frames, so that a file that
// ends anywhere is a shorter recording. A frame whose checksum is wrong ends what
// can be trusted: the calls after it may follow from calls in it. Files may be
// concatenated. A reader skips frames of unknown kinds, unless flagMust is set.
//
// Most payloads are JSON. Those of calls are rows of variable-length integers,
// see appendCall. All times are nanoseconds since Header.Base.
const (
	magic      = "\x89SGR\r\n\x1a\n"
	frameSync  = 0x53474652 // "RFGS" in the file
	frameBytes = 14
	maxPayload = 1 << 20
	version    = 1
	rowsMax    = 8192 // calls in a frame

	kindHeader  = 'H' // Header; begins a recording
	kindBreaker = 'B' // laneHeader
	kindCalls   = 'C' // rows
	kindMoves   = 'T' // []moveRow: transitions and changes of settings
	kindLost    = 'L' // a uvarint: so many calls are missing before here
	kindEnd     = 'E' // endRow; a recording without it was cut, or is still being written

	flagMust = 1 // a reader that does not know the kind cannot read the file
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header describes a recording.
type Header struct {
	Version int           `json:"version"`
	Program string        `json:"program,omitempty"`
	Go      string        `json:"go,omitempty"`
	Base    time.Time     `json:"base"`    // the times of the recording count from here
	From    time.Duration `json:"from_ns"` // all calls since then are in the recording
	Keys    Keys          `json:"keys"`
	Texts   bool          `json:"texts,omitempty"`
}

// laneHeader describes a breaker.
type laneHeader struct {
	Number   uint32           `json:"n"`
	Name     string           `json:"name"`
	Key      string           `json:"key,omitempty"`
	Settings breaker.Settings `json:"settings"` // when it was enrolled
	StepBase *time.Duration   `json:"step_base_ns,omitempty"`
	Enrolled time.Duration    `json:"enrolled_ns"`
	Fresh    bool             `json:"fresh,omitempty"` // it had no evidence when the recording began
}

// moveRow is a transition or a change of settings.
type moveRow struct {
	Number     uint32              `json:"n"`
	At         time.Duration       `json:"at_ns"`
	Transition *breaker.Transition `json:"transition,omitempty"`
	Draw       float64             `json:"draw,omitempty"` // the rest is as in tape.Trace
	Move       bool                `json:"move,omitempty"`
	Gen        uint32              `json:"gen,omitempty"`
	Units      int                 `json:"units,omitempty"`
	Attempt    int                 `json:"attempt,omitempty"`
	Held       bool                `json:"held,omitempty"` // the cap prevented it
	Settings   *breaker.Settings   `json:"settings,omitempty"`
	StepBase   *time.Duration      `json:"step_base_ns,omitempty"`
}

// endRow is the end of a recording.
type endRow struct {
	At        time.Duration `json:"at_ns"`
	Calls     uint64        `json:"calls"`
	Moves     uint64        `json:"moves"`
	Untracked uint64        `json:"untracked,omitempty"`
}

// Writer writes a recording as a file. Errors of the io.Writer are returned by
// the next method that writes; then the Writer does nothing any more.
type Writer struct {
	w       io.Writer
	buf     []byte // frames that have not been written yet
	written int64
	err     error
	rows    rowState
	calls   uint64
	moves   uint64
}

// NewWriter returns a Writer that has written nothing yet.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, buf: []byte(magic)}
}

// frame adds a frame, of which build appends the payload.
func (w *Writer) frame(kind, flags byte, build func(b []byte) []byte) {
	at := len(w.buf)
	w.buf = append(w.buf, make([]byte, frameBytes)...)
	w.buf = build(w.buf)
	f := w.buf[at:]
	if len(f)-frameBytes > maxPayload && w.err == nil {
		w.err = fmt.Errorf("replay: a frame of %d bytes, want at most %d", len(f)-frameBytes, maxPayload)
	}
	binary.LittleEndian.PutUint32(f, frameSync)
	f[4], f[5] = kind, flags
	binary.LittleEndian.PutUint32(f[6:], uint32(len(f)-frameBytes))
	binary.LittleEndian.PutUint32(f[10:], frameSum(f))
}

// frameSum returns the checksum of a whole frame.
func frameSum(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[4:10], castagnoli), castagnoli, f[frameBytes:])
}

func (w *Writer) json(kind, flags byte, x any) {
	b, err := json.Marshal(x)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("replay: %w", err)
	}
	w.frame(kind, flags, func(f []byte) []byte { return append(f, b...) })
}

func (w *Writer) header(h Header) {
	h.Version = version
	w.json(kindHeader, flagMust, h)
}

func (w *Writer) breaker(n uint32, h laneHeader) {
	h.Number = n
	w.json(kindBreaker, flagMust, h)
}

// write adds calls and transitions, both in the order of their times. A prefix of
// the file holds all that happened until some time, so the two are interleaved.
func (w *Writer) write(calls []tape.Call, moves []moveRow) {
	for len(calls) > 0 || len(moves) > 0 {
		n := min(len(calls), rowsMax)
		to := time.Duration(1<<63 - 1)
		if n < len(calls) {
			to = calls[n].Ended
		}
		m := 0
		for m < len(moves) && m < rowsMax/64 && moves[m].At < to {
			m++
		}
		// No calls after a transition that has no room in this frame.
		if m < len(moves) && moves[m].At < to {
			k := 0
			for k < n && calls[k].Ended < moves[m].At {
				k++
			}
			n = k
		}
		if m > 0 {
			w.moves += uint64(m)
			w.json(kindMoves, flagMust, moves[:m])
		}
		if n > 0 {
			w.callsFrame(calls[:n])
		}
		calls, moves = calls[n:], moves[m:]
	}
}

func (w *Writer) callsFrame(calls []tape.Call) {
	w.calls += uint64(len(calls))
	w.frame(kindCalls, flagMust, func(b []byte) []byte {
		w.rows = rowState{}
		b = binary.AppendUvarint(b, uint64(len(calls)))
		for i := range calls {
			b = w.rows.appendCall(b, &calls[i])
		}
		return b
	})
}

// lost notes that calls before this place are missing.
func (w *Writer) lost(n uint64) {
	if n > 0 {
		w.frame(kindLost, 0, func(b []byte) []byte { return binary.AppendUvarint(b, n) })
	}
}

func (w *Writer) end(at time.Duration, untracked uint64) {
	w.json(kindEnd, 0, endRow{At: at, Calls: w.calls, Moves: w.moves, Untracked: untracked})
}

// flush writes all frames with one call of Write.
func (w *Writer) flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	n, err := w.w.Write(w.buf)
	w.written += int64(n)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("replay: write the recording: %w", err)
	}
	w.buf = w.buf[:0]
	return w.err
}

// rowState is what a row refers to: the row before it.
type rowState struct {
	ended time.Duration
	last  [256]tape.What // by number: the generation and failure count are usually those of the call before
}

// The first integer of a row, around its breaker's number.
const (
	rowNewGen   = 1 << 0 // the generation follows
	rowNewUnits = 1 << 1 // the failure count follows
	rowShift    = 2

	rowBegan    = 1 // in place of the time that the call took: it began before the recording
	minRowBytes = 4
)

// appendCall appends a row: outcome, kind and flags in a byte; the breaker's
// number with the bits above; the generation and the failure count, if they
// changed; the time since the end of the row before; and the time that the call
// took, plus 2, or 1 if it is unknown.
func (s *rowState) appendCall(b []byte, c *tape.Call) []byte {
	n := c.What.Number()
	last := &s.last[n%256]
	head := uint64(n) << rowShift
	if last.Number() != n || last.Gen() != c.What.Gen() {
		head |= rowNewGen
	}
	if last.Number() != n || last.Units() != c.What.Units() {
		head |= rowNewUnits
	}
	rejected := c.What.Kind() == tape.Rejected
	if rejected {
		head = uint64(n)<<rowShift | rowNewUnits // its count is in both places
	}
	b = append(b, byte(c.What))
	b = binary.AppendUvarint(b, head)
	if head&rowNewGen != 0 {
		b = binary.AppendUvarint(b, uint64(c.What.Gen()))
	}
	if rejected {
		b = binary.AppendUvarint(b, uint64(c.What.Count()))
	} else {
		if head&rowNewUnits != 0 {
			b = binary.AppendUvarint(b, uint64(c.What.Units()))
		}
		*last = c.What
	}
	b = binary.AppendVarint(b, int64(c.Ended-s.ended))
	s.ended = c.Ended
	if c.Began == 0 {
		return binary.AppendUvarint(b, rowBegan)
	}
	return binary.AppendUvarint(b, uint64(max(0, c.Ended-c.Began))+2)
}

// errRow means that a row is not one.
var errRow = errors.New("a row of calls is broken")

// row reads what appendCall has written.
func (s *rowState) row(b []byte, c *tape.Call) ([]byte, error) {
	if len(b) < minRowBytes {
		return nil, errRow
	}
	low := tape.What(b[0])
	b = b[1:]
	bad := false
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	head := next()
	n := head >> rowShift
	if n == 0 || n > tape.MaxNumber {
		return nil, errRow
	}
	last := &s.last[n%256]
	if low.Kind() == tape.Rejected {
		c.What = tape.Many(next()) | low.Flags()
		c.What = c.What.Of(uint32(n))
	} else {
		gen, units := uint64(last.Gen()), uint64(last.Units())
		if head&rowNewGen != 0 {
			gen = next()
		}
		if head&rowNewUnits != 0 {
			units = next()
		}
		if (head&rowNewGen == 0 || head&rowNewUnits == 0) && last.Number() != uint32(n) {
			return nil, errRow
		}
		c.What = low.Of(uint32(n)).In(uint32(gen)).After(int(min(units, 1<<16-1)))
		*last = c.What
	}
	gap, k := binary.Varint(b)
	if k <= 0 {
		return nil, errRow
	}
	b = b[k:]
	took := next()
	s.ended += time.Duration(gap)
	if bad || s.ended < 0 || s.ended > maxTime || took == 0 || took > uint64(maxTime) {
		return nil, errRow
	}
	c.Ended, c.Began = s.ended, 0
	if took != rowBegan {
		c.Began = s.ended - time.Duration(took-2)
	}
	return b, nil
}

// maxTime is the longest recording: 30 years.
const maxTime = 30 * 365 * 24 * time.Hour
