package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

// ofLastMinute sums the steps of the last minute.
func ofLastMinute(p *ops.Plot, steps []uint32) (sum int) {
	if p.Step <= 0 {
		return 0
	}
	n := int(time.Minute / time.Duration(p.Step))
	for _, x := range steps[max(0, len(steps)-n):] {
		sum += int(x)
	}
	return sum
}

func calls(p *ops.Plot) int {
	if p == nil {
		return 0
	}
	return ofLastMinute(p, p.Success) + ofLastMinute(p, p.Failure) + ofLastMinute(p, p.Rejected)
}

// lastMinute returns how the calls of the last minute ended:
// ok/failed/rejected.
func lastMinute(p *ops.Plot) string {
	if calls(p) == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d/%d", ofLastMinute(p, p.Success), ofLastMinute(p, p.Failure), ofLastMinute(p, p.Rejected))
}

// Spark draws a plot's three series as bars with a common scale, and says what
// a full bar means. If the plot is wider than width, it leaves out the oldest
// steps.
func Spark(p *ops.Plot, width int) []string {
	n := min(len(p.Success), max(0, width-sparkLabel))
	newest := func(series []uint32) []uint32 { return series[len(series)-n:] }
	top := uint32(0)
	for _, series := range [][]uint32{p.Success, p.Failure, p.Rejected} {
		for _, x := range newest(series) {
			top = max(top, x)
		}
	}
	if top == 0 {
		return nil
	}
	step := time.Duration(p.Step)
	scale := fmt.Sprintf("calls of %s, a full bar is %d in %s", Short(step*time.Duration(n)), top, Short(step))
	return []string{
		dim.Render(scale),
		"      ok " + good.Render(bars(newest(p.Success), top)),
		"  failed " + bad.Render(bars(newest(p.Failure), top)),
		"rejected " + warn.Render(bars(newest(p.Rejected), top)),
	}
}

const sparkLabel = len("rejected ")

var levels = []rune(" ▁▂▃▄▅▆▇█")

// bars draws each number as a bar. A number that is not 0 is always visible.
func bars(series []uint32, top uint32) string {
	var b strings.Builder
	for _, x := range series {
		b.WriteRune(levels[(int(x)*(len(levels)-1)+int(top)-1)/int(top)])
	}
	return b.String()
}
