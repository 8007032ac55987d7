package wire

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
)

// Digest is what the coordinator publishes. It is all that a coordinator must
// remember, so that another one can go on from it.
type Digest struct {
	Term    uint64 // of the coordinator; the next one's is higher
	Seq     uint64 // grows with each digest of a term
	By      uint64 // Boot of the coordinator
	Orders  uint64 // number of the newest order
	Members int    // that report
	Silent  int    // whose reports have stopped coming
	Dropped int    // reports that could not be read
	Beyond  int    // members that report and are not counted, as there are too many
	// Quiet are those that are silent, the first MaxQuiet.
	Quiet []Quiet
	Clock verdict.Epoch
	// Subjects are those that are not plainly healthy. Omitted: there were more.
	Subjects map[string]*verdict.Subject
	Omitted  int
}

// Quiet is a member whose reports have stopped coming.
type Quiet struct {
	Boot uint64
	For  time.Duration
}

// The sections of a digest.
const (
	secFleet   = 1
	secSubject = 2
	secScope   = 3 // of the subject before it
	secTally   = 4 // of a zone, of the scope before it
	secArms    = 5 // of the scope before it
	secQuiet   = 6
)

// MaxQuiet is how many silent members a digest names.
const MaxQuiet = 1024

// Append writes the sections of a digest. Subjects that find no room are left
// out: those that are open last.
func (d *Digest) Append() []byte {
	var quiet, body []byte
	for _, q := range d.Quiet[:min(len(d.Quiet), MaxQuiet)] {
		quiet = binary.LittleEndian.AppendUint64(quiet, q.Boot)
		quiet = millis(quiet, q.For)
	}
	omitted := d.Omitted
	ids := slices.SortedFunc(maps.Keys(d.Subjects), func(a, b string) int {
		x, y := d.Subjects[a].AnyOpen(), d.Subjects[b].AnyOpen()
		if x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	for _, id := range ids {
		if !d.Subjects[id].Published() {
			continue
		}
		s := appendSubject(nil, d.Subjects[id])
		if len(body)+len(s) > MaxDigest-1024-len(quiet) || len(id) > MaxID {
			omitted++
			continue
		}
		body = append(body, s...)
	}
	b := number(nil, d.Term)
	b = number(b, d.Seq)
	b = binary.LittleEndian.AppendUint64(b, d.By)
	b = number(b, d.Orders)
	b = number(b, d.Members)
	b = number(b, d.Silent)
	b = number(b, d.Dropped)
	b = number(b, d.Clock)
	b = number(b, omitted)
	b = number(b, d.Beyond)
	out := section(nil, secFleet, b)
	if len(quiet) > 0 {
		out = section(out, secQuiet, quiet)
	}
	return append(out, body...)
}

func appendSubject(out []byte, s *verdict.Subject) []byte {
	b := text(nil, s.ID)
	b = millis(b, s.Suspect)
	b = millis(b, s.Asked)
	out = section(out, secSubject, b)
	out = appendScope(out, "", &s.Fleet)
	for _, z := range slices.Sorted(maps.Keys(s.Zones)) {
		out = appendScope(out, z, s.Zones[z])
	}
	return out
}

func appendScope(out []byte, zone string, x *verdict.Scope) []byte {
	b := text(nil, zone)
	b = append(b, flags(x.Open))
	b = number(b, x.Since)
	if !x.Open {
		return section(out, secScope, b)
	}
	b = number(b, x.Epoch)
	b = number(b, x.Attempt)
	b = number(b, x.Passed)
	b = millis(b, x.Wait)
	b = millis(b, x.OpenFor)
	b = millis(b, x.Rule.Every)
	b = number(b, uint64(min(max(x.Rule.Backoff, 0), 1000)*100+0.5))
	b = millis(b, x.Rule.Max)
	b = append(b, byte(x.Why.Kind), byte(x.Why.Span))
	b = share(b, x.Why.Rate)
	b = appendTally(b, x.Why.Tally)
	b = binary.LittleEndian.AppendUint64(b, x.Probe.Member)
	b = millis(b, x.Probe.Left)
	out = section(out, secScope, b)
	for _, z := range slices.Sorted(maps.Keys(x.Why.Zones)) {
		out = section(out, secTally, appendTally(text(nil, z), x.Why.Zones[z]))
	}
	if len(x.Arms) > 0 {
		b = nil
		for _, a := range x.Arms {
			b = binary.LittleEndian.AppendUint64(b, a.Member)
			b = append(b, flags(a.Active, a.Done))
		}
		out = section(out, secArms, b)
	}
	return out
}

func appendTally(b []byte, t verdict.Tally) []byte {
	for _, n := range []int{t.Calls, t.Failures, t.Slow, t.Against, t.Reporting} {
		b = number(b, n)
	}
	return b
}

// ReadDigest reads the sections of a digest.
func ReadDigest(b []byte) (*Digest, error) {
	d := &Digest{Subjects: map[string]*verdict.Subject{}}
	var subject *verdict.Subject
	var scope *verdict.Scope
	err := sections(b, func(kind byte, in *reader) bool {
		switch kind {
		case secFleet:
			d.read(in)
		case secQuiet:
			for in.more() && len(d.Quiet) < MaxQuiet {
				if q := (Quiet{in.fixed(), in.millis()}); in.err == nil {
					d.Quiet = append(d.Quiet, q)
				}
			}
		case secSubject:
			subject, scope = nil, nil
			s := &verdict.Subject{ID: in.text(MaxID), Suspect: in.millis(), Asked: in.millis()}
			if in.err == nil && len(d.Subjects) < verdict.MaxSubjects {
				subject = s
				d.Subjects[s.ID] = s
			}
		case secScope:
			scope = readScope(in, subject)
		case secTally:
			zone, t := in.text(MaxZone), readTally(in)
			if scope != nil && in.err == nil && len(scope.Why.Zones) < verdict.MaxZones {
				if scope.Why.Zones == nil {
					scope.Why.Zones = map[string]verdict.Tally{}
				}
				scope.Why.Zones[zone] = t
			}
		case secArms:
			for in.more() {
				a := verdict.Arm{Member: in.fixed()}
				bits := in.byte()
				a.Active, a.Done = in.flag(bits, 0), in.flag(bits, 1)
				if scope != nil && in.err == nil && len(scope.Arms) < verdict.MaxArms {
					scope.Arms = append(scope.Arms, a)
				}
			}
		}
		return true
	})
	if err == nil && d.Term == 0 {
		err = ErrMalformed // no section of the fleet
	}
	return d, err
}

func (d *Digest) read(in *reader) {
	d.Term, d.Seq, d.By, d.Orders = in.uint(), in.uint(), in.fixed(), in.uint()
	d.Members, d.Silent, d.Dropped = in.int(1<<30), in.int(1<<30), in.int(1<<30)
	d.Clock = verdict.Epoch(in.uint())
	d.Omitted = in.int(1 << 30)
	d.Beyond = in.int(1 << 30)
}

// readScope reads a scope into its subject, which may be nil.
func readScope(in *reader, s *verdict.Subject) *verdict.Scope {
	zone := in.text(MaxZone)
	x := verdict.Scope{Open: in.byte()&1 != 0, Since: verdict.Epoch(in.uint())}
	if x.Open {
		x.Epoch = verdict.Epoch(in.uint())
		x.Attempt, x.Passed = in.int(1<<30), in.int(1<<30)
		x.Wait, x.OpenFor, x.Rule.Every = in.millis(), in.millis(), in.millis()
		x.Rule.Backoff = float64(in.int(100_000)) / 100
		x.Rule.Max = in.millis()
		x.Why.Kind, x.Why.Span = verdict.Kind(in.byte()), int(in.byte())
		if x.Why.Span >= verdict.SpanCount || x.Why.Kind > verdict.Slow {
			in.fail("unknown span or kind")
			return nil
		}
		x.Why.Rate = in.share()
		x.Why.Tally = readTally(in)
		x.Probe = verdict.Known{Member: in.fixed(), Left: in.millis()}
	}
	switch {
	case s == nil || in.err != nil:
		return nil
	case zone == "":
		s.Fleet = x
		return &s.Fleet
	case len(s.Zones) >= verdict.MaxZones:
		return nil
	case s.Zones == nil:
		s.Zones = map[string]*verdict.Scope{}
	}
	s.Zones[zone] = &x
	return &x
}

// readTally reads what processes have counted together: no more than all
// processes could.
func readTally(in *reader) (t verdict.Tally) {
	const most = 1 << 30
	t.Calls, t.Failures, t.Slow = in.int(most), in.int(most), in.int(most)
	t.Against, t.Reporting = in.int(most), in.int(most)
	if t.Failures > t.Calls || t.Slow > t.Calls || t.Against > t.Reporting {
		in.fail("a part is more than its whole")
	}
	return t
}

// Coordinator is the state that the digest holds, to go on from.
func (d *Digest) Coordinator(p verdict.Params) *verdict.Coordinator {
	c := &verdict.Coordinator{Params: p, Clock: d.Clock, Subjects: d.Subjects}
	return c.Clone()
}

// Age makes the durations of a digest what they are after it has waited so long.
func (d *Digest) Age(elapsed time.Duration) {
	for _, s := range d.Subjects {
		age(&s.Fleet, elapsed)
		for _, z := range s.Zones {
			age(z, elapsed)
		}
	}
}

func age(x *verdict.Scope, elapsed time.Duration) {
	if x.Open {
		x.Wait = max(0, x.Wait-elapsed)
		x.OpenFor += elapsed
		x.Probe.Left = max(0, x.Probe.Left-elapsed)
	}
}
