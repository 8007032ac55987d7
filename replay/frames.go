package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// frame is a frame of a file. The rows of calls are read by several goroutines at
// once: each frame is complete in itself.
type frame struct {
	kind, flags byte
	payload     []byte // with the frame's head
	calls       []tape.Call
	bytes       int64         // of the file, with what was skipped before it
	err         error         // of the reader: io.EOF, errCut, or its own
	rows        error         // why calls could not be read
	done        chan struct{} // receives when calls and rows are set
}

// body is the payload alone.
func (x *frame) body() []byte { return x.payload[frameBytes:] }

// frames reads ahead: it yields the frames of a file in their order.
type frames struct {
	ordered chan *frame
	work    chan *frame
	free    chan *frame
	quit    chan struct{}
	wg      sync.WaitGroup
}

// peeker is a reader that can look ahead, a bufio.Reader.
type peeker interface {
	io.Reader
	Peek(n int) ([]byte, error)
	Discard(n int) (int, error)
}

func readFrames(r peeker) *frames {
	procs := runtime.GOMAXPROCS(0)
	f := &frames{
		ordered: make(chan *frame, 2*procs), work: make(chan *frame, 2*procs), free: make(chan *frame, 4*procs), quit: make(chan struct{}),
	}
	f.wg.Go(func() { f.read(r) })
	for range procs {
		f.wg.Go(func() {
			for x := range f.work {
				x.decode()
				x.done <- struct{}{}
			}
		})
	}
	return f
}

// stop ends the goroutines, and waits for them: they use the reader.
func (f *frames) stop() {
	close(f.quit)
	f.wg.Wait()
}

// next returns the next frame. It must be given back.
func (f *frames) next() *frame {
	x := <-f.ordered
	if x.kind == kindCalls && x.err == nil {
		<-x.done
	}
	return x
}

func (f *frames) giveBack(x *frame) {
	select {
	case f.free <- x:
	default:
	}
}

// read reads frames until an error, which the last one has.
func (f *frames) read(r peeker) {
	defer close(f.work)
	for {
		var x *frame
		select {
		case x = <-f.free:
		default:
			x = &frame{done: make(chan struct{}, 1)}
		}
		x.calls, x.rows = x.calls[:0], nil
		x.err = x.read(r)
		if x.kind == kindCalls && x.err == nil {
			select {
			case f.work <- x:
			case <-f.quit:
				return
			}
		}
		select {
		case f.ordered <- x:
		case <-f.quit:
			return
		}
		if x.err != nil {
			return
		}
	}
}

// read reads one frame.
func (x *frame) read(r peeker) error {
	x.kind, x.bytes = 0, 0
	// Another file may have been appended.
	for {
		b, _ := r.Peek(len(magic))
		if string(b) != magic {
			break
		}
		_, _ = r.Discard(len(magic))
		x.bytes += int64(len(magic))
	}
	var f [frameBytes]byte
	n, err := io.ReadFull(r, f[:])
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return io.EOF
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case err != nil:
		return errCut
	}
	length := binary.LittleEndian.Uint32(f[6:])
	if binary.LittleEndian.Uint32(f[:]) != frameSync || length > maxPayload {
		return errCut
	}
	// At most maxPayload, so a hostile length does no harm.
	x.payload = append(x.payload[:0], f[:]...)
	x.payload = slices.Grow(x.payload, int(length))[:frameBytes+int(length)]
	if _, err := io.ReadFull(r, x.body()); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errCut
		}
		return err
	}
	if frameSum(x.payload) != binary.LittleEndian.Uint32(f[10:]) {
		return errCut
	}
	x.kind, x.flags = f[4], f[5]
	x.bytes += int64(len(x.payload))
	return nil
}

// decode reads the rows of calls.
func (x *frame) decode() {
	p := x.body()
	n, k := binary.Uvarint(p)
	if k <= 0 || n > uint64(len(p))/minRowBytes {
		x.rows = errRow
		return
	}
	p = p[k:]
	x.calls = slices.Grow(x.calls, int(n))[:n]
	var s rowState
	for i := range x.calls {
		var err error
		if p, err = s.row(p, &x.calls[i]); err != nil {
			x.calls, x.rows = x.calls[:i], fmt.Errorf("row %d: %w", i, err)
			return
		}
	}
}
