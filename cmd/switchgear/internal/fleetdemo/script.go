package fleetdemo

import "time"

// scene is what is broken for a while.
type scene struct {
	tell  string
	long  time.Duration
	bad   func(zone, name string) bool // whose calls fail
	store bool                         // the store is away
}

func noOne(_, _ string) bool           { return false }
func everyone(_, _ string) bool        { return true }
func podOne(_, name string) bool       { return name == "pod-1" }
func zoneB(zone string, _ string) bool { return zone == "b" }

// scenes are played in turn, again and again.
var scenes = []scene{
	{"all is well", 8 * time.Second, noOne, false},
	{"pod-1 cannot reach payments: it opens alone, and no other does", 14 * time.Second, podOne, false},
	{"all is well again", 12 * time.Second, noOne, false},
	{"zone b cannot reach payments: it opens as one, and zone a stays closed", 14 * time.Second, zoneB, false},
	{"all is well again", 10 * time.Second, noOne, false},
	{"payments is down: all open, and one process probes for all", 16 * time.Second, everyone, false},
	{"the store is gone as well: each process is alone, and its own breaker goes on", 14 * time.Second, everyone, true},
	{"payments is back, the store is not: each finds out by itself", 12 * time.Second, noOne, true},
	{"the store is back: they act as one again", 10 * time.Second, noOne, false},
}
