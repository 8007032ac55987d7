package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A target is one line of what the project wants to reach. It is a ratio of
// two rows of the same run, so that it is valid on any machine; only memory
// and the length of a transition are absolute.
type target struct {
	Path  string
	Want  string // in words, when there is no Den
	Num   string // the row that is divided,
	Minus string // less this one,
	Den   string // by this one; "": by nothing
	Bound float64
	Least bool // the bound is the least that will do, not the most
	Gate  bool // the ratio reached is recorded, and a test holds it
}

// The rows that targets name.
const (
	bareID     = limit + "/bare call"
	deferID    = limit + "/empty wrapper, deferred closure"
	deferCtxID = limit + "/empty wrapper, deferred closure, context"
)

func ourID(group, rule, how string) string { return group + "/" + ours + "/" + rule + ", " + how }

var (
	doID       = ourID(closed, consecutive, "Do")
	twoStepID  = ourID(closed, consecutive, "Allow and Done")
	windowID   = ourID(closed, timeWindow, "Do")
	lastID     = ourID(closed, lastCalls, "Do")
	slowID     = ourID(closed, slowCoarse, "Do")
	failingID  = ourID(failing, consecutive, "Do")
	openID     = ourID(opened, consecutive, "Do")
	cycleID    = ourID(cycling, consecutive, noHistory)
	gobreaker1 = closed + "/gobreaker v2/consecutive, Execute"
	gobreakerW = closed + "/gobreaker v2/time window, Execute"
	failsafeW  = closed + "/failsafe-go/time window, by hand"
)

const two = "@2" // under two procs

func targets() []target {
	ts := []target{
		{Path: "consecutive, Do", Num: doID, Den: bareID, Bound: 3.5, Gate: true},
		{Path: "consecutive, Do", Num: doID, Den: deferID, Bound: 1, Gate: true},
		{Path: "consecutive, Do", Num: gobreaker1, Den: doID, Bound: 20, Least: true},
		{Path: "consecutive, Do, 2 procs", Num: gobreaker1 + two, Den: doID + two, Bound: 40, Least: true},
		{Path: "consecutive, Do", Num: doID, Den: closed + "/eapache/consecutive, Run", Bound: 0.75},
		{Path: "Allow and Done", Num: twoStepID, Den: bareID, Bound: 1.5, Gate: true},
		{Path: "time window, Do", Num: windowID, Den: doID, Bound: 1.6, Gate: true},
		{Path: "time window, Do", Num: gobreakerW, Den: windowID, Bound: 12, Least: true},
		{Path: "time window, Do", Num: failsafeW, Den: windowID, Bound: 8, Least: true},
		{Path: "time window, Do, 2 procs", Num: failsafeW + two, Den: windowID + two, Bound: 14, Least: true},
		{Path: "last 100 calls, Do", Num: lastID, Den: doID, Bound: 1.1, Gate: true},
		{Path: "slow-call rule on top", Num: slowID, Minus: doID, Den: bareID, Bound: 3, Gate: true},
		{Path: "open", Num: openID, Den: bareID, Bound: 1.5, Gate: true},
		{Path: "open", Num: opened + "/gobreaker v2/consecutive, Execute", Den: openID, Bound: 25, Least: true},
		{Path: "full cycle", Num: cycleID, Den: cycling + "/gobreaker v2/consecutive, Execute", Bound: 0.4, Gate: true},
		{Path: "1 % failures", Num: failingID, Den: doID, Bound: 1.4, Gate: true},
		{Path: "transition", Want: "ns", Num: transition + "/" + ours + "/by calls, one listener", Bound: 2000},
		{Path: "transition", Want: "ns", Num: transition + "/" + ours + "/by orders, one listener", Bound: 2000},
		{Path: "memory, consecutive", Want: "B", Num: heapBreaker + "/" + ours + "/" + consecutive, Bound: 192},
		{Path: "memory, time window, at rest", Want: "B", Num: heapBreaker + "/" + ours + "/" + timeWindow + ", at rest", Bound: 384},
		{Path: "memory, failing key", Want: "B", Num: heapKey + "/" + ours + "/all with a failure counted", Bound: 128},
		{Path: "memory, healthy key beyond MaxKeys", Want: "B", Num: heapKey + "/" + ours + "/healthy, beyond MaxKeys", Bound: 1},
	}
	for _, path := range []struct{ name, id string }{
		{"consecutive, Do", doID},
		{"Allow and Done", twoStepID},
		{"time window, Do", windowID},
		{"last 100 calls, Do", lastID},
		{"slow-call rule on top", slowID},
		{"open", openID},
		{"1 % failures", failingID},
	} {
		ts = append(ts, target{Path: path.name + ", throughput of 2 procs", Num: path.id, Den: path.id + two, Bound: 1.6, Least: true})
	}
	for _, n := range []int{100_000, 1_000_000} {
		set, hand := keyedGroup(n)+"/"+ours+"/Set.Do, default MaxKeys", keyedGroup(n)+"/"+byHand
		ts = append(
			ts,
			target{Path: keyedGroup(n), Num: set, Den: hand, Bound: 0.5, Gate: n == 100_000},
			target{Path: keyedGroup(n) + ", 2 procs while keys are new", Num: set + freshKeys + "@1", Den: set + freshKeys + two, Bound: 1.6, Least: true},
		)
	}
	return ts
}

// A table finds rows by their ID.
type table map[string]*Row

func tableOf(rows []*Row) table {
	t := table{}
	for _, r := range rows {
		t[r.ID()] = r
	}
	return t
}

// value returns the value of t in the table, NaN if a row is missing or did
// not do its work. The median of the ratios of all rounds counts, which
// removes drift between rounds.
func (t *target) value(rows table) float64 {
	for _, id := range t.needs() {
		if r := rows[id]; r == nil || r.Err != nil || len(r.Samples) == 0 {
			return math.NaN()
		}
	}
	num := rows[t.Num].Samples
	var vs []float64
	for i, v := range num {
		if t.Minus != "" {
			v -= rows[t.Minus].Samples[i]
		}
		if t.Den != "" {
			v /= rows[t.Den].Samples[i]
		}
		vs = append(vs, v)
	}
	return median(vs)
}

// needs lists the rows that t consists of.
func (t *target) needs() (ids []string) {
	for _, id := range []string{t.Num, t.Minus, t.Den} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// starved reports whether t says nothing about how our rows scale. A rival
// whose goroutines wait for a lock leaves processors idle itself.
func (t *target) starved(rows table) bool {
	for _, id := range t.needs() {
		if r := rows[id]; r.Who == ours && r.starved() {
			return true
		}
	}
	return false
}

func (t *target) reached(v float64) bool {
	if t.Least {
		return v >= t.Bound
	}
	return v <= t.Bound
}

// what says what is divided by what.
func (t *target) what() string {
	short := func(id string) string {
		id = strings.TrimPrefix(id, limit+"/")
		id = strings.TrimPrefix(id, closed+"/")
		if at := strings.LastIndex(id, "@"); at > 0 {
			n, _ := strconv.Atoi(id[at+1:])
			id = id[:at] + " (" + procsName(n) + ")"
		}
		return id
	}
	s := short(t.Num)
	if t.Minus != "" {
		s = "(" + s + " - " + short(t.Minus) + ")"
	}
	if t.Den != "" {
		s += " / " + short(t.Den)
	}
	return s
}

func (t *target) bound() string {
	sign := "<="
	if t.Least {
		sign = ">="
	}
	return strings.TrimSpace(fmt.Sprintf("%s %.4g %s", sign, t.Bound, t.Want))
}

// freeOfAllocations lists our rows that must not allocate, and those of them
// that do not.
func freeOfAllocations(rows []*Row) (all, guilty []*Row) {
	for _, r := range rows {
		if r.Who != ours || r.Allocs < 0 || r.Group != closed && r.Group != opened {
			continue
		}
		all = append(all, r)
		if r.Allocs > 0 {
			guilty = append(guilty, r)
		}
	}
	return all, guilty
}
