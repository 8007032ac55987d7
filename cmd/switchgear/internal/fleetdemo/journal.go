package fleetdemo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
)

// journal prints what happens.
type journal struct {
	out   io.Writer
	began time.Time

	mu   sync.Mutex // guards the fields below
	last map[string]line
	said string // by sum, last
	err  error
}

func (j *journal) tell(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tellLocked(format, args...)
}

func (j *journal) tellLocked(format string, args ...any) {
	if j.err == nil {
		_, j.err = fmt.Fprintf(j.out, "%7.1fs  %s\n", time.Since(j.began).Seconds(), plain.Text(fmt.Sprintf(format, args...)))
	}
}

// take is a line of a process.
func (j *journal) take(l line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := l.Transition; t != nil {
		j.tellLocked("%s in zone %s: %s -> %s: %s", l.Name, l.Zone, t.From, t.To, l.Summary)
		return
	}
	if l.Status != nil {
		j.last[l.Name] = l
	}
}

// sum prints how the zones fare, if that has changed.
func (j *journal) sum() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if text := j.sumLocked(); text != j.said {
		j.said = text
		j.tellLocked("         %s", text)
	}
}

func (j *journal) sumLocked() string {
	zones := map[string]map[breaker.State]int{}
	alone, why, counts := 0, "", ""
	for _, name := range slices.Sorted(maps.Keys(j.last)) {
		l := j.last[name]
		if zones[l.Zone] == nil {
			zones[l.Zone] = map[breaker.State]int{}
		}
		zones[l.Zone][l.Status.State]++
		if l.Status.Alone {
			alone++
			why = l.Status.Error
		} else if l.Status.Coordinator {
			counts = name
		}
	}
	var parts []string
	for _, z := range slices.Sorted(maps.Keys(zones)) {
		var states []string
		for s := breaker.Closed; s <= breaker.ForcedClosed; s++ {
			if n := zones[z][s]; n > 0 {
				states = append(states, fmt.Sprintf("%d %s", n, s))
			}
		}
		parts = append(parts, "zone "+z+": "+strings.Join(states, ", "))
	}
	text := strings.Join(parts, "   ")
	switch {
	case alone > 0:
		text += fmt.Sprintf("   %d of %d are alone", alone, len(j.last))
		if why != "" {
			text += ": " + why
		}
	case counts != "":
		text += "   coordinator " + counts
	}
	return text
}

// ending prints how the calls ended.
func (j *journal) ending() {
	j.mu.Lock()
	defer j.mu.Unlock()
	var ok, failed, rejected uint64
	for _, l := range j.last {
		ok, failed, rejected = ok+l.Status.OK, failed+l.Status.Failed, rejected+l.Status.Rejected
	}
	j.tellLocked("Over after %s: %d calls ok, %d failed, %d rejected.", time.Since(j.began).Round(time.Second), ok, failed, rejected)
}
