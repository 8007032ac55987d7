package fifo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

const columnGap = "    "

var tableHead = [5]string{"id", "state", "time until half_open", "failure count", "failures until open"}

// table returns the status table: a header, and a line for each breaker, with
// every cell aligned to the right of its column.
func table(all []ops.Status) string {
	rows := make([][5]string, 1, 1+len(all))
	rows[0] = tableHead
	for i := range all {
		rows = append(rows, row(&all[i]))
	}
	var width [5]int
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, r := range rows {
		if n > 0 {
			b.WriteByte('\n')
		}
		for i, cell := range r {
			if i > 0 {
				b.WriteString(columnGap)
			}
			for range width[i] - utf8.RuneCountInString(cell) {
				b.WriteByte(' ')
			}
			b.WriteString(cell)
		}
	}
	return b.String()
}

func row(st *ops.Status) [5]string {
	until, left := "None", "None"
	if st.State == breaker.Open {
		until = pyDuration(st.UntilHalfOpen)
	}
	if st.State == breaker.Closed && st.FailuresUntilOpen >= 0 {
		left = strconv.Itoa(st.FailuresUntilOpen)
	}
	return [5]string{printable(st.ID), stateWord(st.State), until, strconv.Itoa(st.FailCount), left}
}

// stateWord returns a state as the pipe writes it, such as half_open or
// forced_open.
func stateWord(s breaker.State) string { return strings.ReplaceAll(s.String(), "-", "_") }

// pyDuration writes d as Python's str(timedelta): 0:00:59.898808, and 1 day,
// 1:01:00. A negative d is 0.
func pyDuration(d time.Duration) string {
	d = max(d, 0).Truncate(time.Microsecond)
	const day = 24 * time.Hour
	var b strings.Builder
	switch days := d / day; days {
	case 0:
	case 1:
		b.WriteString("1 day, ")
	default:
		fmt.Fprintf(&b, "%d days, ", days)
	}
	d %= day
	fmt.Fprintf(&b, "%d:%02d:%02d", d/time.Hour, d/time.Minute%60, d/time.Second%60)
	if us := d % time.Second / time.Microsecond; us > 0 {
		fmt.Fprintf(&b, ".%06d", us)
	}
	return b.String()
}

// printable returns id as the table shows it. Control characters, which would
// break the table or a terminal, are escaped as in a Go string.
func printable(id string) string {
	if !strings.ContainsFunc(id, unicode.IsControl) {
		return id
	}
	var b strings.Builder
	for i, r := range id {
		switch {
		case unicode.IsControl(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		case r == utf8.RuneError:
			_, n := utf8.DecodeRuneInString(id[i:])
			b.WriteString(id[i : i+n])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
