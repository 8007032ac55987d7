package verdict

import "time"

// Presence is what a coordinator knows of a member whose reports it reads.
type Presence struct {
	Boot, Seq uint64 // of the newest report
	Name      string // of the member
	Interval  time.Duration
	Since, At time.Duration // when the first came, and the newest
	// Moved: a report has come since this coordinator began. Those that were there
	// before may be of members that are gone.
	Moved bool
}

// Hear takes in a report that came at now. It returns false for one that is not
// newer: it was late on its way, or someone repeats it.
func (s *Presence) Hear(now time.Duration, boot, seq uint64) bool {
	switch {
	case s.Boot == 0:
		s.Since = now
	case s.Boot == boot && seq <= s.Seq:
		return false
	default:
		s.Moved = true
	}
	s.Boot, s.Seq, s.At = boot, seq, now
	return true
}

// Silent reports whether a member has missed too many beats.
func (s *Presence) Silent(p *Params, now time.Duration) bool {
	beat := min(max(p.Beat, s.Interval), 10*time.Second)
	return now-s.At >= time.Duration(p.Silence)*beat
}

// Replaced reports whether another member of the same name came when this one
// fell silent: the process has started again. It has one voice (F3), not one for
// each start. Two processes that share a name have two, as both keep reporting.
func (s *Presence) Replaced(by *Presence) bool {
	return s != by && s.Name != "" && s.Name == by.Name && by.Since >= s.At
}
