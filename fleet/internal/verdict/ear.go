package verdict

import "time"

// Ear is which digest a member has heard last. Digests come in several ways: with
// each beat, and pushed, maybe late or twice. Those of one coordinator are numbered,
// and a coordinator that follows another one has a higher term (F8).
type Ear struct {
	Term, Seq uint64        // of the newest digest; 0: none
	At        time.Duration // when it came; 0: it was there before, and says nothing of now

	late, lateSeq uint64 // the last that was not newer, while nothing newer came
}

// Take reports whether the member takes in a digest, and counts it as heard.
//
// The first that is read may have been left by a fleet that is gone: only a newer
// one shows that a coordinator is there. One that is not newer is that of a
// coordinator whose lease has passed, or was late on its way. But a store may fall
// back to old data, lose its terms, or give one twice: then such a digest is
// believed when the patience of a member is over and the next one follows.
func (e *Ear) Take(p *Params, now time.Duration, term, seq uint64, pushed bool) bool {
	switch {
	case e.Term == 0 && !pushed:
		e.Term, e.Seq = term, seq
		return true
	case term > e.Term || term == e.Term && seq > e.Seq:
	case now-e.At > p.Patience():
		follows := term == e.late && seq > e.lateSeq
		e.late, e.lateSeq = term, seq
		if !follows {
			return false
		}
	default:
		return false
	}
	*e = Ear{Term: term, Seq: seq, At: now}
	return true
}
