package fifo

import "bytes"

// maxLine is the longest line that is read, its end not counted. What is beyond
// it has no meaning to a breaker, and would have to be held in memory.
const maxLine = 64 << 10

// lines cuts what comes through the pipe into lines.
type lines struct {
	emit    func(line []byte) // a whole line, without its end; valid during the call
	refuse  func(head []byte) // a line longer than maxLine, once, when that shows
	pending []byte            // the line so far
	skip    bool              // it was refused, and its rest does not matter
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

// end ends the line, as its last byte does, or the last writer by closing.
func (l *lines) end() {
	if !l.skip {
		l.emit(l.pending)
	}
	l.pending, l.skip = l.pending[:0], false
}

// half reports whether a line has begun and not ended.
func (l *lines) half() bool { return l.skip || len(l.pending) > 0 }
