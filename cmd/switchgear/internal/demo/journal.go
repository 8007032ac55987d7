package demo

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/switchgear-go/switchgear/breaker"
)

var (
	sceneStyle = lipgloss.NewStyle().Bold(true)
	faintStyle = lipgloss.NewStyle().Faint(true)
	stateStyle = map[breaker.State]lipgloss.Style{
		breaker.Closed:       lipgloss.NewStyle().Foreground(lipgloss.Green),
		breaker.Open:         lipgloss.NewStyle().Foreground(lipgloss.Red),
		breaker.HalfOpen:     lipgloss.NewStyle().Foreground(lipgloss.Yellow),
		breaker.ForcedOpen:   lipgloss.NewStyle().Foreground(lipgloss.Magenta),
		breaker.ForcedClosed: lipgloss.NewStyle().Foreground(lipgloss.Magenta),
	}
)

const (
	stampWidth = 8  // "  12.3s "
	nameWidth  = 18 // "inventory/umbrella"
)

// journal prints what happens, line by line. It must be used by one goroutine
// only.
type journal struct {
	out   io.Writer
	width int // of the terminal; 0: not a terminal
	began time.Time
	err   error // the first error of writing
	total tally
	opens map[string]int // times that a closed breaker opened
}

func (j *journal) opening(s *shop, d *endpoints) {
	j.print("A shop on loopback, guarded by breakers.")
	j.print("  payments   " + s.payments.url + "  breaker payments: opens at 50% failed or 50% slow calls in 1s")
	j.print("  inventory  " + s.inventory.url + "  a breaker for each tenant: opens at 3 failures in a row")
	j.print("  dashboard  " + d.url)
	if d.socket != nil {
		j.print("  socket     " + d.socket.Path())
	}
	for _, err := range d.closed {
		j.print("  not open   " + err.Error())
	}
	j.print("")
	j.hints(d)
	j.print("Ctrl-C ends it.")
	j.print("")
}

// hints prints commands for a second terminal, which can be copied as they
// are.
func (j *journal) hints(d *endpoints) {
	own, dir := program(ownName)
	pipe, _ := program("circuit_breaker_fifo")
	in := "In a second terminal:"
	if dir != "" {
		in = "In a second terminal, in this folder:"
	}
	var lines []string
	if d.socket != nil {
		pid := strconv.Itoa(os.Getpid())
		lines = append(lines, own+" top -p "+pid, own+" explain payments -p "+pid)
	}
	if d.pipe != nil {
		ask := fmt.Sprintf("%s -i %s -o %s ", pipe, quote(d.input), quote(d.output))
		lines = append(lines, ask+"status", ask+"force_open payments --reason 'trying it out' --for 1m", ask+"release payments")
	}
	if len(lines) == 0 {
		return
	}
	j.print(in)
	if dir != "" {
		j.print("  cd " + quote(dir))
	}
	for _, line := range lines {
		j.print("  " + line)
	}
	j.print("")
}

func (j *journal) scene(sc scene) {
	mark := "✗ "
	if sc.calm {
		mark = "✓ "
	}
	j.entry(sceneStyle.Render(mark + sc.says))
}

// change prints one transition and why it happened.
func (j *journal) change(ch change) {
	t := &ch.t
	if t.From == breaker.Closed && t.To == breaker.Open && !t.Shadow {
		if j.opens == nil {
			j.opens = map[string]int{}
		}
		j.opens[ch.id]++
	}
	text := fmt.Sprintf("%-*s %s -> %s: %s", nameWidth, ch.id, word(t.From), word(t.To), t.Summary())
	if t.Shadow {
		text = fmt.Sprintf("%-*s %s, behind its override %s -> %s: %s", nameWidth, ch.id, "goes on", word(t.From), word(t.To), t.Summary())
	}
	switch {
	case t.To == breaker.Open && t.Attempt > 1:
		text += fmt.Sprintf("; attempt %d, a probe may run in %s", t.Attempt, short(t.OpenFor))
	case t.To == breaker.Open:
		text += fmt.Sprintf("; a probe may run in %s", short(t.OpenFor))
	case t.For > 0:
		text += fmt.Sprintf("; it ends by itself in %s", short(t.For))
	}
	j.entry(text)
}

// second prints how the calls of the last second ended.
func (j *journal) second(s *shop) {
	of := j.count(s)
	pay, stock := of[payments], of[inventory]
	j.entry(faintStyle.Render(fmt.Sprintf("  calls: payments (%s) %s; inventory %s", s.pay.State(), &pay, &stock)))
}

// count adds what happened since the last call to the total.
func (j *journal) count(s *shop) map[string]tally {
	of := s.tally.take()
	for _, t := range of {
		j.total.plus(t)
	}
	return of
}

func (j *journal) ending(s *shop) {
	j.count(s)
	j.print("")
	j.print(fmt.Sprintf("Over after %s, %d calls: %s.", short(time.Since(j.began)), j.total.calls(), &j.total))
	for _, id := range slices.Sorted(maps.Keys(j.opens)) {
		times := fmt.Sprintf("%d times", j.opens[id])
		if j.opens[id] == 1 {
			times = "once"
		}
		j.print(id + " opened " + times + ".")
	}
}

// entry prints a line with its time, folded if the terminal is too narrow.
func (j *journal) entry(text string) {
	stamp := fmt.Sprintf("%6.1fs ", time.Since(j.began).Seconds())
	if j.width > stampWidth+40 {
		text = lipgloss.NewStyle().Width(j.width - stampWidth).Render(text)
		text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", stampWidth))
	}
	j.print(stamp + text)
}

func (j *journal) print(line string) {
	if j.err == nil {
		_, j.err = fmt.Fprintln(j.out, strings.TrimRight(line, " "))
	}
}

func word(s breaker.State) string { return stateStyle[s].Render(s.String()) }

// short rounds to what a reader can take in.
func short(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
