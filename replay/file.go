package replay

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// mostLate is how much later than others that ended after it a call may be in a
// file. A recorder writes calls within a second.
const mostLate = 10 * time.Second

// errChanged means that a file is not what it was when it was opened.
var errChanged = errors.New("the file has changed since it was opened")

// Open reads a .sgr file. It reads the file once, and does not keep its calls:
// what replays them reads the file again, so it must stay as it is. It may grow.
func Open(name string) (*Trace, error) {
	t, err := open(name, nil)
	if err != nil && !errors.As(err, new(*os.PathError)) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return t, err
}

func open(name string, progress func(done float64)) (*Trace, error) {
	t, late, err := openFile(name, 0, progress)
	if err == nil && late > 0 && late <= mostLate {
		t, late, err = openFile(name, late, progress)
	}
	if err != nil || late <= mostLate {
		return t, err
	}
	// Calls in no order at all: keep them.
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f)
}

// openFile makes the survey of a file in which calls may be so late. It returns
// how late they were.
func openFile(name string, slack time.Duration, progress func(done float64)) (*Trace, time.Duration, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	var in io.Reader = f
	if info, err := f.Stat(); err == nil && info.Size() > 0 && progress != nil {
		in = &counted{Reader: f, size: info.Size(), progress: progress}
	}
	s := newSurvey()
	late := time.Duration(0)
	t := &Trace{Source: "sgr", surveyed: s}
	add := func(l *Lane, c *tape.Call) { s.add(s.of(l), c) }
	sorted := newSorter(slack, add)
	var last *Lane
	var of *laneSurvey
	d := decoder{t: t, sink: func(l *Lane, c *tape.Call) {
		if slack > 0 {
			sorted.add(l, c)
			return
		}
		if l != last {
			last, of = l, s.of(l)
		}
		if c.Ended < of.ended {
			late = max(late, of.ended-c.Ended)
		}
		s.add(of, c)
		of.ended = max(of.ended, c.Ended)
	}}
	if err := d.run(bufio.NewReaderSize(in, 1<<18)); err != nil {
		return nil, 0, err
	}
	sorted.finish()
	s.finish()
	t.file = &file{name: name, size: d.bytes, lanes: d.all, slack: slack}
	t.sort()
	t.Calls, t.Rejected = d.ran, d.rejected
	return t, late, nil
}

// file is where the calls of a Trace are.
type file struct {
	name  string
	size  int64         // what was read of it
	lanes []*Lane       // in the order of the file
	slack time.Duration // how late calls are
}

// each calls f for all calls of each breaker in the order of their ends.
func (x *file) each(ctx context.Context, f func(l *Lane, c *tape.Call)) error {
	in, err := os.Open(x.name)
	if err != nil {
		return err
	}
	defer in.Close()
	sorted := newSorter(x.slack, f)
	if x.slack > 0 {
		f = sorted.add
	}
	// What comes after size was not there when the file was opened.
	d := decoder{t: &Trace{}, again: x.lanes, sink: f, ctx: ctx}
	err = d.run(bufio.NewReaderSize(io.LimitReader(in, x.size), 1<<18))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%s: %w", x.name, err)
	case d.bytes != x.size || d.made != len(x.lanes):
		return fmt.Errorf("%s: %w", x.name, errChanged)
	}
	sorted.finish()
	return nil
}

// sorter puts calls that are up to slack late in the order of their ends, by
// breaker.
type sorter struct {
	slack time.Duration
	f     func(l *Lane, c *tape.Call)
	held  map[*Lane][]tape.Call // sorted
}

func newSorter(slack time.Duration, f func(l *Lane, c *tape.Call)) *sorter {
	return &sorter{slack, f, map[*Lane][]tape.Call{}}
}

func (s *sorter) add(l *Lane, c *tape.Call) {
	held := s.held[l]
	i := len(held)
	for i > 0 && held[i-1].Ended > c.Ended {
		i--
	}
	held = slices.Insert(held, i, *c)
	n := 0
	for until := held[len(held)-1].Ended - s.slack; n < len(held) && held[n].Ended < until; n++ {
		s.f(l, &held[n])
	}
	s.held[l] = held[n:]
}

func (s *sorter) finish() {
	for l, held := range s.held {
		for i := range held {
			s.f(l, &held[i])
		}
	}
}

// sort puts the breakers in the order of their IDs, and their transitions in that
// of time.
func (t *Trace) sort() {
	slices.SortStableFunc(t.Breakers, func(a, b *Lane) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.enrolled, b.enrolled))
	})
	for _, l := range t.Breakers {
		slices.SortStableFunc(l.moves, func(a, b moveRow) int { return cmp.Compare(a.At, b.At) })
	}
}
