package ops

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	// maxStanding is how many overrides are kept, and how many settings: as
	// many as the keys with evidence that a set remembers by default.
	maxStanding      = 100_000
	standingPatience = time.Second // how long an order waits for the file
)

// standing keeps the overrides and settings that people ordered in a file, so
// that they outlive a restart of the process. A nil standing keeps nothing.
//
// The file system may hang as well as fail, so a goroutine does the writing.
// It lives as long as there is something to write, and each write covers
// everything that orders have changed meanwhile.
type standing struct {
	m      *breaker.Manager
	report func(error)          // from Options
	tell   func(standingNotice) // to the audit log and the events
	remove func()               // from Manager.OnCreate

	// giving is held while an order is carried out and kept, and while kept
	// orders are applied, so that what is kept is what was carried out last.
	// It is taken before mu.
	giving sync.Mutex

	mu        sync.Mutex // guards the fields below
	names     map[string]map[string]*standingRecord
	overrides int // in names
	settings  int
	waiting   int                // records whose breakers have not been created yet
	damaged   error              // the file cannot be read, and is not changed
	failing   error              // why the file cannot be written
	ordered   bool               // an order is being carried out, and is not kept yet
	changed   []*breaker.Breaker // overrides changed meanwhile, for stateChanged
	dirty     bool
	writing   bool
	waiters   []chan error // orders that wait until they are written; each channel is buffered
	closed    bool
	ended     chan error // receives the result of closing the file, once closed is true

	file standingFile // used only by the goroutine that writes
}

// standingRecord is what is kept for one id.
type standingRecord struct {
	override *standingOverride // shared by all ids of an order; nil: no override
	settings []standingSetting
	waits    bool // its breaker has not been created since the process started
}

// standingNotice says what happened to an order when the process started
// again.
type standingNotice struct {
	order Order
	text  string
	lost  bool
}

// newStanding reads the file. If the file cannot be read, the error is
// reported, and nothing of the file is applied.
func newStanding(m *breaker.Manager, path string, report func(error), tell func(standingNotice)) *standing {
	s := &standing{m: m, report: report, tell: tell, names: map[string]map[string]*standingRecord{}, ended: make(chan error, 1)}
	s.file.path = path
	doc, err := s.file.read()
	if err != nil {
		s.damaged = err
		doc = standingDoc{} // nothing is half applied
		s.note(s.named(err))
	} else if err := s.file.own(); err != nil { // reported now, not with the first order
		s.note(s.named(err))
	}
	s.load(&doc)
	return s
}

// start applies the file to the breakers that exist, and to others when they
// are created. The plane must be complete, because its listeners run at once.
func (s *standing) start() {
	if s == nil {
		return
	}
	s.remove = s.m.OnCreate(s.apply) // before those that exist, so that none is missed
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.names))
	s.mu.Unlock()
	for _, name := range names {
		if s.exists(name) {
			s.apply(name)
		}
	}
}

func (s *standing) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("standing orders %s: %w", s.file.path, err)
}

func (s *standing) exists(name string) bool {
	if _, err := s.m.Lookup(name); err == nil {
		return true
	}
	_, err := s.m.LookupSet(name)
	return err == nil
}

// load stores the contents of the file.
func (s *standing) load(d *standingDoc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range d.Overrides {
		shared := *o
		shared.IDs, shared.Raw = nil, nil
		for _, id := range o.IDs {
			s.setOverrideLocked(id, &shared)
		}
		for _, id := range o.Raw {
			s.setOverrideLocked(string(id), &shared)
		}
	}
	for _, x := range d.Settings {
		id := x.ID
		if len(x.Raw) > 0 {
			id = string(x.Raw)
		}
		s.setSettingLocked(id, x)
	}
	for _, ids := range s.names {
		for _, r := range ids {
			r.waits = true
			s.waiting++
		}
	}
}

// nameOf returns the name of the breaker or set that an id belongs to.
func nameOf(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}

func (s *standing) recordLocked(id string) *standingRecord {
	name := nameOf(id)
	if s.names[name] == nil {
		s.names[name] = map[string]*standingRecord{}
	}
	r := s.names[name][id]
	if r == nil {
		r = &standingRecord{}
		s.names[name][id] = r
	}
	return r
}

// setOverrideLocked returns false if there is no room. mu is held.
func (s *standing) setOverrideLocked(id string, o *standingOverride) bool {
	had := s.names[nameOf(id)][id]
	if had == nil || had.override == nil {
		if s.overrides >= maxStanding {
			return false
		}
		s.overrides++
	}
	r := s.recordLocked(id)
	r.override = o
	return true
}

func (s *standing) setSettingLocked(id string, x standingSetting) bool {
	r := s.names[nameOf(id)][id]
	at := -1
	if r != nil {
		at = slices.IndexFunc(r.settings, func(y standingSetting) bool { return y.Key == x.Key })
	}
	if at >= 0 {
		r.settings[at] = x
		return true
	}
	if s.settings >= maxStanding {
		return false
	}
	s.settings++
	r = s.recordLocked(id)
	r.settings = append(r.settings, x)
	return true
}

// dropLocked forgets the override of id, its settings, or both. It reports
// whether there was something to forget. mu is held.
func (s *standing) dropLocked(id string, override bool, setting func(standingSetting) bool) (dropped bool) {
	name := nameOf(id)
	r := s.names[name][id]
	if r == nil {
		return false
	}
	if override && r.override != nil {
		r.override = nil
		s.overrides--
		dropped = true
	}
	if setting != nil {
		n := len(r.settings)
		r.settings = slices.DeleteFunc(r.settings, setting)
		s.settings -= n - len(r.settings)
		dropped = dropped || n != len(r.settings)
	}
	if r.override == nil && len(r.settings) == 0 {
		s.appliedLocked(r)
		delete(s.names[name], id)
	}
	if len(s.names[name]) == 0 {
		delete(s.names, name)
	}
	return dropped
}

// appliedLocked notes that a record no longer waits for its breaker. mu is
// held.
func (s *standing) appliedLocked(r *standingRecord) {
	if r.waits {
		r.waits = false
		s.waiting--
	}
}

// do carries out an order by calling carryOut, and keeps what is to outlive a
// restart. If that is kept elsewhere, it only forgets the overrides that the order
// ended.
func (s *standing) do(o *Order, r *Receipt, elsewhere bool, carryOut func() error) error {
	if s == nil {
		return carryOut()
	}
	s.giving.Lock()
	s.mu.Lock()
	s.ordered = true
	s.mu.Unlock()
	err := carryOut()
	s.mu.Lock()
	changed, left := false, 0
	if err == nil && !o.DryRun {
		changed, left = s.keepLocked(o, r, elsewhere)
	}
	s.ordered = false
	for _, b := range s.changed {
		s.checkLocked(b)
	}
	s.changed = nil
	s.mu.Unlock()
	s.giving.Unlock()
	if !changed && left == 0 {
		return err
	}
	if saved := s.save(); saved != nil {
		r.StandingError = saved.Error()
	} else if left > 0 {
		r.StandingError = fmt.Sprintf("%d of %d breakers are left out: at most %d are kept", left, r.Matched, maxStanding)
	}
	return err
}

// keepLocked stores what an order did. It returns the number of ids for which
// there was no room. mu is held.
func (s *standing) keepLocked(o *Order, r *Receipt, elsewhere bool) (changed bool, left int) {
	now := time.Now()
	switch o.Verb {
	case VerbSet, VerbPromote:
		if elsewhere {
			return false, 0
		}
		if o.Verb == VerbPromote {
			return s.keepSettingsLocked(o, r.changed(), now)
		}
		return s.keepSettingsLocked(o, o.Settings, now)
	case VerbShadow, VerbUnshadow:
		return false, 0 // a shadow ends with the process
	}
	override := o.standingOverride(now)
	if elsewhere {
		override = nil
	}
	for i := range r.Results {
		x := &r.Results[i]
		switch {
		case x.Error != "", o.Verb == VerbNote, o.Verb == VerbAck:
		case o.Verb == VerbExtend:
			changed = s.extendLocked(x.ID, o, x.Expires) || changed
		case override == nil:
			changed = s.dropLocked(x.ID, true, nil) || changed
		case s.setOverrideLocked(x.ID, override):
			changed = true
		default:
			left++
		}
	}
	return changed, left
}

// extendLocked gives a kept override another end. An override that the program
// set is not kept. mu is held.
func (s *standing) extendLocked(id string, o *Order, expires time.Time) bool {
	r := s.names[nameOf(id)][id]
	if r == nil || r.override == nil {
		return false
	}
	longer := *r.override // the override may be shared
	longer.Actor, longer.Expires = o.Actor, expires
	if o.Reason != "" {
		longer.Reason = o.Reason
	}
	r.override = &longer
	return true
}

// standingOverride returns the override that an order sets, or nil.
func (o *Order) standingOverride(now time.Time) *standingOverride {
	x := &standingOverride{Actor: o.Actor, Reason: o.Reason, Since: now}
	switch o.Verb {
	case breaker.VerbForceOpen:
		x.State = breaker.ForcedOpen
	case breaker.VerbForceClosed:
		x.State = breaker.ForcedClosed
	default:
		return nil
	}
	if o.For > 0 {
		x.Expires = now.Add(time.Duration(o.For))
	}
	return x
}

// keepSettingsLocked keeps only the settings that an order named or changed. An
// order must not undo what the next version of the program says about the
// others. mu is held.
func (s *standing) keepSettingsLocked(o *Order, named json.RawMessage, now time.Time) (changed bool, left int) {
	var patch map[string]json.RawMessage
	if json.Unmarshal(named, &patch) != nil {
		return false, 0 // the order was carried out, so this is an object
	}
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		x := standingSetting{Key: key, Value: patch[key], Actor: o.Actor, Reason: o.Reason, Since: now}
		if s.setSettingLocked(o.ID, x) {
			changed = true
		} else {
			left++
		}
	}
	return changed, left
}

// stateChanged forgets an override that ended or was replaced other than by an
// order: it expired, or the program lifted it.
func (s *standing) stateChanged(b *breaker.Breaker, t *breaker.Transition) {
	if s == nil || t.Shadow || t.From != breaker.ForcedOpen && t.From != breaker.ForcedClosed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// While an order is carried out, the breaker has the new override and the
	// record still the old one. Dropping that now could write a file with
	// neither, and a process that is killed then has lost an order that was
	// answered.
	if s.ordered {
		s.changed = append(s.changed, b)
	} else {
		s.checkLocked(b)
	}
}

// checkLocked drops the override kept for b, unless b still has it. mu is held.
func (s *standing) checkLocked(b *breaker.Breaker) {
	id := b.ID()
	r := s.names[nameOf(id)][id]
	if r == nil || r.override == nil || r.waits || r.override.is(b.Status().Override) {
		return
	}
	if s.dropLocked(id, true, nil) {
		s.startLocked()
	}
}

// is reports whether o is the override of a breaker.
func (o *standingOverride) is(x *breaker.Override) bool {
	return x != nil && x.State == o.State && x.Actor == o.Actor && x.Reason == o.Reason
}

// save writes the file, and waits for that as long as an order may.
func (s *standing) save() error {
	done := make(chan error, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return s.named(os.ErrClosed)
	}
	s.waiters = append(s.waiters, done)
	s.startLocked()
	s.mu.Unlock()
	patience := time.NewTimer(standingPatience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return s.named(fmt.Errorf("not written after %s", standingPatience))
	}
}

func (s *standing) startLocked() {
	s.dirty = true
	if !s.writing && !s.closed {
		s.writing = true
		go s.drain()
	}
}

// drain writes until the file is up to date, and returns.
func (s *standing) drain() {
	for {
		s.mu.Lock()
		if !s.dirty {
			s.writing = false
			if s.closed {
				s.ended <- s.file.close()
			}
			s.mu.Unlock()
			return
		}
		s.dirty = false
		waiters, doc, damaged := s.waiters, s.docLocked(), s.damaged
		s.waiters = nil
		s.mu.Unlock()
		err := s.named(s.replace(doc, damaged))
		s.note(err)
		for _, w := range waiters {
			w <- err
		}
	}
}

// replace writes the file. A damaged file is not replaced until a person has
// moved it away, because a person may still be able to read it.
func (s *standing) replace(doc *standingDoc, damaged error) error {
	if damaged != nil {
		if _, err := os.Lstat(s.file.path); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w; nothing is written until the file is moved away", damaged)
		}
		s.mu.Lock()
		s.damaged = nil
		s.mu.Unlock()
	}
	return s.file.write(doc)
}

// docLocked returns the contents for the file, in an order that does not
// depend on maps. mu is held.
func (s *standing) docLocked() *standingDoc {
	doc := &standingDoc{Version: standingVersion, Overrides: []*standingOverride{}, Settings: []standingSetting{}}
	shared := map[*standingOverride]*standingOverride{}
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		ids := s.names[name]
		for _, id := range slices.Sorted(maps.Keys(ids)) {
			r := ids[id]
			raw := !utf8.ValidString(id)
			for _, x := range r.settings {
				if x.ID, x.Raw = id, nil; raw {
					x.ID, x.Raw = "", []byte(id)
				}
				doc.Settings = append(doc.Settings, x)
			}
			if r.override == nil {
				continue
			}
			o := shared[r.override]
			if o == nil {
				fresh := *r.override
				o = &fresh
				shared[r.override] = o
				doc.Overrides = append(doc.Overrides, o)
			}
			if raw {
				o.Raw = append(o.Raw, []byte(id))
			} else {
				o.IDs = append(o.IDs, id)
			}
		}
	}
	return doc
}

// note reports a change between failing and working again.
func (s *standing) note(err error) {
	s.mu.Lock()
	before := s.failing
	s.failing = err
	s.mu.Unlock()
	if s.report != nil && (err == nil) != (before == nil) {
		s.report(err)
	}
}

// state returns the number of ids whose orders wait because their breakers
// have not been created yet, and why orders will not outlive a restart at
// present, or nil.
func (s *standing) state() (waiting int, failing error) {
	if s == nil {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting, s.failing
}

// close keeps no further orders. It waits as long as an order does until
// everything has been written.
func (s *standing) close() error {
	if s == nil {
		return nil
	}
	s.remove()
	s.mu.Lock()
	already := s.closed
	s.closed = true
	if !already && !s.writing {
		s.ended <- s.file.close()
	}
	s.mu.Unlock()
	if already {
		return nil
	}
	patience := time.NewTimer(standingPatience)
	defer patience.Stop()
	select {
	case err := <-s.ended:
		return err
	case <-patience.C:
		return s.named(fmt.Errorf("not written after %s", standingPatience))
	}
}
