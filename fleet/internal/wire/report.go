package wire

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
)

// Limits of names, in bytes.
const (
	MaxID     = 512
	MaxZone   = 32
	MaxMember = 128
	maxCalls  = 1 << 20
	// MaxWell is how many breakers a report has of which only good is known.
	MaxWell = 256
)

// Report is what a member says each beat.
type Report struct {
	Boot     uint64 // drawn when it joined
	Seq      uint64 // grows with each report
	Zone     string
	Member   string        // name on screens
	Build    string        // of the program
	Settings uint64        // digest of all settings
	Breakers int           // how many it has
	Omitted  int           // breakers that it had something to say of, and no room
	Partial  bool          // it has not said all: of a breaker that it does not mention it may know something
	Advise   bool          // it only watches
	Orders   bool          // it carries out orders
	Done     uint64        // the newest order that it has done
	Interval time.Duration // between its beats
	Clock    verdict.Epoch // the newest epoch that it has ever heard of
	Claims   []verdict.Claim
	Well     []Well
}

// Well is a breaker of which only good is known.
type Well struct {
	Hash     uint64 // of its id
	Calls    [verdict.SpanCount]int
	SlowRule bool
}

// Hash is that of a breaker's id.
func Hash(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// The sections of a report.
const (
	secMember = 1
	secClaim  = 2
	secWell   = 3
)

// Append writes the sections of a report. Claims that find no room are left out,
// the last first, and counted in Omitted.
func (r *Report) Append() []byte {
	var claims []byte
	fits := MaxReport - 512 - len(r.Well)*12
	omitted := r.Omitted
	for i := range r.Claims {
		c := section(nil, secClaim, appendClaim(nil, &r.Claims[i]))
		if len(claims)+len(c) > fits || len(r.Claims[i].ID) > MaxID {
			omitted++
			continue
		}
		claims = append(claims, c...)
	}
	b := binary.LittleEndian.AppendUint64(nil, r.Boot)
	b = number(b, r.Seq)
	b = text(b, r.Zone)
	b = text(b, r.Member)
	b = text(b, r.Build)
	b = binary.LittleEndian.AppendUint64(b, r.Settings)
	b = number(b, r.Breakers)
	b = number(b, omitted)
	b = append(b, flags(r.Advise, r.Orders, r.Partial || omitted > 0))
	b = number(b, r.Done)
	b = millis(b, r.Interval)
	b = number(b, r.Clock)
	out := section(nil, secMember, b)
	if len(r.Well) > 0 {
		b = b[:0]
		for _, w := range r.Well {
			b = binary.LittleEndian.AppendUint64(b, w.Hash)
			for i, n := range w.Calls {
				c := byte(min(n, 0x7f))
				if i == 0 && w.SlowRule {
					c |= 0x80
				}
				b = append(b, c)
			}
		}
		out = section(out, secWell, b)
	}
	return append(out, claims...)
}

func appendClaim(b []byte, c *verdict.Claim) []byte {
	b = text(b, c.ID)
	b = append(b, byte(c.State), byte(c.Auto), flags(c.Tripped, c.Overruled, c.Advised))
	b = number(b, c.Stamp)
	b = number(b, c.Under)
	b = number(b, c.Probe.Epoch)
	b = number(b, c.Probe.Attempt)
	b = append(b, byte(c.Probe.Result))
	b = millis(b, c.Lease)
	b = number(b, min(c.Demand, maxCalls))
	b = share(b, c.Rule.FailureRate)
	b = share(b, c.Rule.SlowRate)
	b = millis(b, c.Rule.Every)
	b = number(b, uint64(min(max(c.Rule.Backoff, 0), 1000)*100+0.5))
	b = millis(b, c.Rule.Max)
	for _, e := range c.Spans {
		b = number(b, e.Calls)
		b = number(b, e.Failures)
		b = number(b, e.Slow)
	}
	return b
}

// ReadReport reads the sections of a report.
func ReadReport(b []byte) (*Report, error) {
	r := new(Report)
	err := sections(b, func(kind byte, in *reader) bool {
		switch kind {
		case secMember:
			r.read(in)
		case secClaim:
			c := readClaim(in)
			r.Claims = append(r.Claims, c)
		case secWell:
			for in.more() && len(r.Well) < MaxWell {
				w := Well{Hash: in.fixed()}
				for i := range w.Calls {
					c := in.byte()
					if i == 0 {
						w.SlowRule = c&0x80 != 0
					}
					w.Calls[i] = int(c & 0x7f)
				}
				if in.err == nil {
					r.Well = append(r.Well, w)
				}
			}
		}
		return true
	})
	if err == nil && r.Boot == 0 {
		err = ErrMalformed // no member's section
	}
	return r, err
}

func (r *Report) read(in *reader) {
	r.Boot = in.fixed()
	r.Seq = in.uint()
	r.Zone = in.text(MaxZone)
	r.Member = in.text(MaxMember)
	r.Build = in.text(MaxMember)
	r.Settings = in.fixed()
	r.Breakers = in.int(1 << 30)
	r.Omitted = in.int(1 << 30)
	bits := in.byte()
	r.Advise, r.Orders, r.Partial = in.flag(bits, 0), in.flag(bits, 1), in.flag(bits, 2)
	r.Done = in.uint()
	r.Interval = in.millis()
	r.Clock = verdict.Epoch(in.uint())
}

func readClaim(in *reader) (c verdict.Claim) {
	c.ID = in.text(MaxID)
	c.State, c.Auto = readState(in), readState(in)
	bits := in.byte()
	c.Tripped, c.Overruled, c.Advised = in.flag(bits, 0), in.flag(bits, 1), in.flag(bits, 2)
	c.Stamp, c.Under = verdict.Epoch(in.uint()), verdict.Epoch(in.uint())
	c.Probe = verdict.Probe{Epoch: verdict.Epoch(in.uint()), Attempt: in.int(1 << 30), Result: verdict.Result(in.byte())}
	c.Lease = in.millis()
	c.Demand = in.int(maxCalls)
	c.Rule.FailureRate, c.Rule.SlowRate = in.share(), in.share()
	c.Rule.Every = in.millis()
	c.Rule.Backoff = float64(in.int(100_000)) / 100
	c.Rule.Max = in.millis()
	for i := range c.Spans {
		e := verdict.Evidence{Calls: in.int(maxCalls), Failures: in.int(maxCalls), Slow: in.int(maxCalls)}
		if e.Failures > e.Calls || e.Slow > e.Calls {
			in.fail("more bad calls than calls")
		}
		c.Spans[i] = e
	}
	return c
}

func readState(in *reader) breaker.State {
	s := breaker.State(in.byte())
	if s > breaker.ForcedClosed {
		in.fail("unknown state")
		return breaker.Closed
	}
	return s
}
