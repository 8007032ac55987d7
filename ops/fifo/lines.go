package fifo

import "bytes"

// maxLine is the longest line that is read, without its end. A longer line
// means nothing to a breaker, and would have to be held in memory.
const maxLine = 64 << 10

// lines splits what comes through the pipe into lines.
type lines struct {
	emit    func(line []byte) // a whole line, without its end; valid during the call
	refuse  func(head []byte) // called once for a line that is longer than maxLine
	pending []byte            // the line so far
	skip    bool              // the rest of a refused line is skipped
}

func (l *lines) write(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.grow(p)
			return
		}
		l.grow(p[:i])
		l.end()
		p = p[i+1:]
	}
}

func (l *lines) grow(p []byte) {
	switch {
	case l.skip:
	case len(l.pending)+len(p) > maxLine:
		l.refuse(append(l.pending, p...)[:maxLine])
		l.pending, l.skip = nil, true
	default:
		l.pending = append(l.pending, p...)
	}
}

// end ends the line: called for its last byte, or when the last writer has
// closed the pipe.
func (l *lines) end() {
	if !l.skip {
		l.emit(l.pending)
	}
	l.pending, l.skip = l.pending[:0], false
}

// half reports whether a line has begun but not ended.
func (l *lines) half() bool { return l.skip || len(l.pending) > 0 }
