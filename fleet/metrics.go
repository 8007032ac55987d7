package fleet

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteMetrics writes how this member is doing as Prometheus text: the plane that
// the handler is attached to serves it with its own.
func (h *groupHandler) WriteMetrics(w io.Writer) {
	if h.member == nil {
		return
	}
	s := h.member.State()
	group := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Group)
	for _, m := range []struct {
		name, kind, help string
		value            any
	}{
		{"members", "gauge", "Processes that report, as the coordinator counts them.", s.Members},
		{"silent", "gauge", "Processes whose reports have stopped coming.", s.Silent},
		{"beyond", "gauge", "Processes that report and are not counted, because there are more than 4,096.", s.Beyond},
		{"alone", "gauge", "1 while this process does not hear the fleet, or is not heard.", btoi(s.Alone)},
		{"coordinator", "gauge", "1 while this process is the coordinator.", btoi(s.Coordinator)},
		{"digest_age_seconds", "gauge", "Time since the coordinator was heard.", time.Duration(s.DigestAge).Seconds()},
		{"held", "gauge", "Breakers of this process that a verdict of the fleet holds open.", s.Held},
		{"overruled", "gauge", "Breakers of this process that stay closed although a verdict says open.", s.Overruled},
		{"beats_total", "counter", "Reports that the store took.", s.Beats},
		{"failed_beats_total", "counter", "Reports that the store did not take.", s.Failed},
		{"verdicts_obeyed_total", "counter", "Breakers that verdicts of the fleet opened in this process.", s.Opened},
		{"dropped_total", "counter", "Messages that were not understood, or not signed with the key.", s.Dropped},
	} {
		name := "switchgear_fleet_" + m.name
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s{group=\"%s\"} %v\n", name, m.help, name, m.kind, name, group, m.value)
	}
}
