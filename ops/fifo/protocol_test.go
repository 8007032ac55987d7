package fifo

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// planeOf returns a plane of m, until the test ends.
func planeOf(t testing.TB, m *breaker.Manager) *ops.Plane {
	t.Helper()
	if m == nil {
		m = breaker.NewManager(breaker.Settings{})
	}
	p := ops.New(m, ops.Options{})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// statusOf returns all breakers as the plane lists them.
func statusOf(all ...breaker.Status) (out []ops.Status) {
	for _, s := range all {
		out = append(out, ops.Status{Status: s})
	}
	return out
}

// standing returns a manager with a breaker for each name, and a set for each
// "name/key".
func standing(ids ...string) *breaker.Manager {
	m := breaker.NewManager(breaker.Settings{})
	for _, id := range ids {
		if name, key, keyed := strings.Cut(id, "/"); keyed {
			breaker.SetOf[string](m, name).Breaker(key)
		} else {
			m.Breaker(id)
		}
	}
	return m
}

// dispatcherOf returns a dispatcher for these breakers, and their manager.
func dispatcherOf(t testing.TB, ids ...string) (*dispatcher, *breaker.Manager) {
	m := standing(ids...)
	return newDispatcher(planeOf(t, m), nil), m
}

const oneRow = "SUCCESS\n" +
	"    id     state    time until half_open    failure count    failures until open\n" +
	"closed    closed                    None                0                      5\n"

func TestAnswer(t *testing.T) {
	d, _ := dispatcherOf(t, "closed", "two words", "tenants/a b", "t/ lead", "t/\x00")
	tests := []struct{ line, want string }{
		{"open closed", "SUCCESS\nChanged `closed` state\n"},
		{"close closed", "SUCCESS\nChanged `closed` state\n"},
		{"half_open closed", "SUCCESS\nChanged `closed` state\n"},
		{"force_open closed", "SUCCESS\nChanged `closed` state\n"},
		{"force_closed closed", "SUCCESS\nChanged `closed` state\n"},
		{"release closed", "SUCCESS\nChanged `closed` state\n"},
		{"close closed", "SUCCESS\nChanged `closed` state\n"},
		{"open tenants/*", "ERROR\nInvalid identifier: tenants/*\n"},
		{"open two words", "SUCCESS\nChanged `two words` state\n"},
		{"open tenants/a b", "SUCCESS\nChanged `tenants/a b` state\n"},
		{"open t/ lead", "SUCCESS\nChanged `t/ lead` state\n"},
		{`release t/\x00`, "SUCCESS\nChanged `t/\\x00` state\n"},
		{"status closed", oneRow},
		{"   status closed  ", oneRow},
		{"status closed\r", oneRow},
		{"\x1cstatus closed\x1f\u00a0\u0085", oneRow},
		{"status nosuch", "ERROR\nInvalid identifier: nosuch\n"},
		{"open nosuch", "ERROR\nInvalid identifier: nosuch\n"},
		{"open", "ERROR\nInvalid identifier: \n"},
		{"open ", "ERROR\nInvalid identifier: \n"},
		{"status  closed", "ERROR\nInvalid identifier:  closed\n"},
		{"open closed extra", "ERROR\nInvalid identifier: closed extra\n"},
		{"status clo\x00sed", "ERROR\nInvalid identifier: clo\x00sed\n"},
		{"status\tclosed", "ERROR\nInvalid command: status\tclosed\n"},
		{"status\rclosed", "ERROR\nInvalid command: status\rclosed\n"},
		{"foobar baz", "ERROR\nInvalid command: foobar baz\n"},
		{" foobar baz ", "ERROR\nInvalid command: foobar baz\n"},
		{"STATUS", "ERROR\nInvalid command: STATUS\n"},
		{"half-open closed", "ERROR\nInvalid command: half-open closed\n"},
		{"-h", "ERROR\nInvalid command: -h\n"},
		{"__class__", "ERROR\nInvalid command: __class__\n"},
		{"\xff\xfe", "ERROR\nInvalid command: \xff\xfe\n"},
		{"", ""},
		{" \t\v\f\r", ""},
	}
	for _, tt := range tests {
		if got := string(d.answer(tt.line)); got != tt.want {
			t.Errorf("answer(%q)\n got %q\nwant %q", tt.line, got, tt.want)
		}
	}
}

// A panic is answered, and the next line is answered as usual.
func TestAnswerBroken(t *testing.T) {
	d, _ := dispatcherOf(t, "a")
	plane := d.plane
	for _, line := range []string{"status", "status a", "open a", cmdOrder + ` {"id":"a","verb":"open","actor":"ann"}`, cmdLook, "explain a", "history a"} {
		d.plane = nil
		if got, want := string(d.answer(line)), "ERROR\nUnexpected error\n"; got != want {
			t.Errorf("broken: answer(%q) = %q, want %q", line, got, want)
		}
		d.plane = plane
		if got := string(d.answer(line)); !strings.HasPrefix(got, "SUCCESS\n") {
			t.Errorf("mended: answer(%q) = %q", line, got)
		}
	}
}

func TestTable(t *testing.T) {
	tests := []struct {
		name string
		all  []ops.Status
		want []string
	}{
		{"none", nil, []string{
			"id    state    time until half_open    failure count    failures until open",
		}},
		{"the seed's", statusOf([]breaker.Status{
			{ID: "foo", State: breaker.Open, UntilHalfOpen: 30 * time.Minute, FailCount: 5, FailuresUntilOpen: -1},
		}...), []string{
			" id    state    time until half_open    failure count    failures until open",
			"foo     open                 0:30:00                5                   None",
		}},
		{"every state", statusOf([]breaker.Status{
			{ID: "closed", FailuresUntilOpen: 5},
			{ID: "flaky", FailCount: 2, FailuresUntilOpen: 3},
			{ID: "low", FailCount: 7, FailuresUntilOpen: 1},
			{ID: "forced", State: breaker.ForcedOpen, Auto: breaker.Closed, FailuresUntilOpen: 5},
			{ID: "half", State: breaker.HalfOpen, FailCount: 5, FailuresUntilOpen: -1},
			{ID: "open", State: breaker.Open, UntilHalfOpen: 59898808 * time.Microsecond, FailCount: 5, FailuresUntilOpen: -1},
			{ID: "tenants/é", State: breaker.ForcedClosed, Auto: breaker.Open, UntilHalfOpen: time.Second},
			{ID: "t/\n\x1b\xff", FailuresUntilOpen: -1},
		}...), []string{
			"       id            state    time until half_open    failure count    failures until open",
			"   closed           closed                    None                0                      5",
			"    flaky           closed                    None                2                      3",
			"      low           closed                    None                7                      1",
			"   forced      forced_open                    None                0                   None",
			"     half        half_open                    None                5                   None",
			"     open             open          0:00:59.898808                5                   None",
			"tenants/é    forced_closed                    None                0                   None",
			"t/\\n\\x1b\xff           closed                    None                0                   None",
		}},
	}
	for _, tt := range tests {
		if got, want := table(tt.all), strings.Join(tt.want, "\n"); got != want {
			t.Errorf("%s:\n got\n%s\nwant\n%s", tt.name, got, want)
		}
	}
}

func TestPyDuration(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0:00:00"},
		{-time.Hour, "0:00:00"},
		{59*time.Second + 123456*time.Microsecond, "0:00:59.123456"},
		{59 * time.Second, "0:00:59"},
		{59*time.Second + 5*time.Microsecond, "0:00:59.000005"},
		{999 * time.Nanosecond, "0:00:00"},
		{24*time.Hour - time.Microsecond, "23:59:59.999999"},
		{25*time.Hour + time.Minute - 9*time.Microsecond, "1 day, 1:00:59.999991"},
		{1e9*time.Second - 10*time.Microsecond, "11574 days, 1:46:39.999990"},
	}
	for _, tt := range tests {
		if got := pyDuration(tt.d); got != tt.want {
			t.Errorf("pyDuration(%d) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

// An order in JSON is an ops.Order, answered by its receipt or its refusal.
func TestOrderInJSON(t *testing.T) {
	const before = `{"id":"a","verb":"`
	tests := []struct{ json, override, reply string }{
		{
			`{"verb":"force-open","id":"a","reason":"disk \"full\"\n","for":"30m","actor":"ann"}`, `forced-open "ann" "disk \"full\"\n" 30m0s`,
			before + `force-open","matched":1,"touched":1,"results":[{"id":"a","before":"closed","after":"forced-open","from_version":1,"version":2}]}`,
		},
		{
			`{"verb":"force-open","id":"a","reason":"x","for":"30m","actor":"ann","dry_run":true,"if_version":1}`, "",
			before + `force-open","dry_run":true,"matched":1,"touched":1,"results":[{"id":"a","before":"closed","after":"forced-open","from_version":1,"version":1,"dry_run":true}]}`,
		},
		{`{"verb":"force-open","id":"a","reason":"x","actor":"ann"}`, "", `{"error":{"code":"order","message":"invalid order: force-open without an end, want a time (for) or no_expiry"}}`},
		{`{"verb":"open","id":"a","actor":"ann","if_version":9}`, "", `{"error":{"code":"version","message":"breaker has changed: a is at version 1, the order was for 9"}}`},
		{`{"verb":"open","id":"t/*","actor":"ann"}`, "", `{"error":{"code":"confirm","message":"t/* applies to 2 breakers: confirm that number","id":"t/*","matched":2}}`},
		{`{"verb":"open","id":"b","actor":"ann"}`, "", `{"error":{"code":"unknown","message":"unknown breaker \"b\", did you mean \"a\" or \"t\"?","id":"b","near":["a","t"]}}`},
		{`{"verb":"set","id":"a","actor":"ann","settings":{"fail_max":"x"}}`, "", `"code":"settings"`},
		{`{"verb":"status","id":"a","actor":"ann"}`, "", `want open, close, half-open, force-open, force-closed, release, set, extend, note, ack or mark`},
		{`{"verb":"force-open","id":"a","for":"soon"}`, "", `is not a duration`},
		{`{"verb":"open","id":"a","hurry":1}`, "", `unknown field \"hurry\", want one JSON object`},
		{`{"verb":"open","id":"a","actor":"ann"} close a`, "", "want one JSON object"},
		{`{"verb":"open","id":"a"}`, "", "no actor"},
		{``, "", "want one JSON object"},
	}
	for _, tt := range tests {
		d, m := dispatcherOf(t, "a", "t/1", "t/2")
		flag, got, _ := strings.Cut(strings.TrimSuffix(string(d.answer(cmdOrder+" "+tt.json)), "\n"), "\n")
		if !strings.Contains(got, tt.reply) || (flag == flagSuccess) != strings.HasPrefix(tt.reply, before) {
			t.Errorf("%s\n got %s %s\nwant %s", tt.json, flag, got, tt.reply)
		}
		override := ""
		if o := m.Breaker("a").Status().Override; o != nil {
			override = fmt.Sprintf("%s %q %q %s", o.State, o.Actor, o.Reason, o.Expires.Sub(o.Since))
		}
		if override != tt.override {
			t.Errorf("%s\n got override %q\nwant override %q", tt.json, override, tt.override)
		}
	}
}

// The protocol needs no file: here it runs over an io.Pipe in a bubble.
func TestLinesOverPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var got []string
		l := lines{
			emit:   func(line []byte) { got = append(got, string(line)) },
			refuse: func(head []byte) { got = append(got, fmt.Sprintf("refused %d", len(head))) },
		}
		go func() {
			buf := make([]byte, 7)
			for {
				n, err := r.Read(buf)
				l.write(buf[:n])
				if err != nil {
					l.end()
					return
				}
			}
		}()
		long := strings.Repeat("x", maxLine)
		for _, s := range []string{"a\nbc", "", "\n\n", long, "\n", long, "y", "zz\nafter", " that"} {
			io.WriteString(w, s)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if !l.half() {
			t.Error("half() = false in the middle of a line")
		}
		w.Close()
		synctest.Wait()
		want := []string{"a", "bc", "", long, fmt.Sprintf("refused %d", maxLine), "after that"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %.200q\nwant %.200q", got, want)
		}
	})
}

func TestAnsweredBy(t *testing.T) {
	status := table(statusOf(breaker.Status{ID: "a"}, breaker.Status{ID: "b b"}))
	row := table(statusOf(breaker.Status{ID: "b b"}))
	tests := []struct {
		cmd, id string
		file    string
		want    bool
	}{
		{"status", "", "SUCCESS\n" + status + "\n", true},
		{"status", "", "SUCCESS\n" + row + "\n", true},
		{"status", "", "SUCCESS\n" + table(nil) + "\n", true},
		{"status", "", "SUCCESS\n" + status[:len(status)-3] + "\n", false},
		{"status", "", "SUCCESS\nChanged `a` state\n", false},
		{"status", "", "SUCCESS\n", false},
		{"status", "b b", "SUCCESS\n" + row + "\n", true},
		{"status", "b b", "SUCCESS\n" + status + "\n", false},
		{"status", "b", "SUCCESS\n" + row + "\n", false},
		{"status", "b", "ERROR\nInvalid identifier: b\n", true},
		{"status", "b", "ERROR\nInvalid identifier: c\n", false},
		{"open", "b", "SUCCESS\nChanged `b` state\n", true},
		{"open", "b ", "SUCCESS\nChanged `b` state\n", true},
		{"open", "b", "SUCCESS\nChanged `bb` state\n", false},
		{"open", "b", "ERROR\nChanged `b` state\n", false},
		{"open", "b", "ERROR\nInvalid command: open b\n", true},
		{"open", "b", "ERROR\nInvalid command: hello-1\n", false},
		{"open", "b", "ERROR\nUnexpected error\n", true},
		{"open", "b", "", false},
		{"explain", "b", `SUCCESS{"id":"b"}`, true},
		{"explain", "b", `SUCCESS{"id":"c"}`, false},
		{"explain", `t/\x00`, `SUCCESS{"id":"t/\u0000"}`, true},
		{"history", "t/\xff", `SUCCESS{"id":"t/\ufffd"}`, true},
		{"history", "b", "SUCCESS\n" + row + "\n", false},
		{"history", "b", `ERROR{"error":{"code":"unknown"}}`, true},
		{"history", "b", "ERROR\nInvalid identifier: b\n", false},
		{cmdLook, "", `SUCCESS{"total":0,"breakers":[]}`, true},
		{cmdLook, "", "SUCCESS\n" + status + "\n", false},
	}
	for _, tt := range tests {
		r, _ := parseReply([]byte(strings.Replace(tt.file, "{", "\n{", 1)))
		if got := plainQuestion(tt.cmd, tt.id).answeredBy(r, true); got != tt.want {
			t.Errorf("%s %q answered by %q: got %v, want %v", tt.cmd, tt.id, tt.file, got, tt.want)
		}
	}
}

func TestWhatIsAnOrder(t *testing.T) {
	for cmd, want := range map[string]bool{"open": true, "release": true, cmdOrder: true, "status": false, "explain": false, cmdLook: false, cmdOverview: false} {
		if got := (question{cmd: cmd}).orders(); got != want {
			t.Errorf("%s is an order: %t", cmd, got)
		}
	}
}

func TestWire(t *testing.T) {
	tests := []struct{ cmd, id, want string }{
		{"status", "", "status \n"},
		{"status", "x", "status x\n"},
		{"open", "a b", "open a b\n"},
		{"force_closed", "('p', 'q')", "force_closed ('p', 'q')\n"},
		{"close", "closed ", "close closed\n"},
		{"close", " closed", "close  closed\n"},
	}
	for _, tt := range tests {
		if got := string(plainQuestion(tt.cmd, tt.id).wire()); got != tt.want {
			t.Errorf("%s %q travels as %q, want %q", tt.cmd, tt.id, got, tt.want)
		}
	}
}

// FuzzLine sends arbitrary lines through the protocol: it must answer every
// line that is not blank with one reply in the protocol's form, and no line
// creates a breaker.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"status\n", "status a\nopen a", "open\n\n \nclose a b\r\n", "status \x00\xff\n", "force_open a\x1f\n",
		cmdOrder + ` {"verb":"force-open","id":"a","actor":"x","reason":"y","for":"1h"}` + "\n", cmdOrder + " {", cmdLook + " t/*", "explain a\nhistory a b", "release t/\\x00\n", "\\\n",
		strings.Repeat("status ", maxLine/7+1) + "\nstatus",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		d, m := dispatcherOf(t, "a", "a b", "t/\x00")
		check := func(line string, reply []byte) {
			if reply == nil {
				if strip(line) != "" {
					t.Errorf("%q has no reply", line)
				}
				return
			}
			r, whole := parseReply(reply)
			if !whole || !r.ok && !strings.HasPrefix(string(reply), "ERROR\n") {
				t.Errorf("%q is answered by %q", line, reply)
			}
		}
		l := lines{
			emit:   func(line []byte) { check(string(line), d.answer(string(line))) },
			refuse: func(head []byte) { check(string(head), d.tooLong(head)) },
		}
		if cut = max(0, cut); cut < len(in) {
			l.write(in[:cut])
			in = in[cut:]
		}
		l.write(in)
		l.end()
		if l.half() {
			t.Error("half a line is left after the end")
		}
		if m.Len() != 3 {
			t.Errorf("%d breakers, want the 3 there were", m.Len())
		}
	})
}
