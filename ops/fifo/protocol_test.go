package fifo

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

var fiveFails = breaker.Settings{FailMax: 5}

// orders remembers what was ordered.
type orders struct {
	mu     sync.Mutex // guards the fields below
	all    []string
	fail   error // what Do returns, when set
	broken bool  // panics
}

// standing is a manager of a breaker for each name, and of a set for each
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

// deskOf is a desk for these breakers, and what it is ordered.
func deskOf(ids ...string) (*desk, *orders) {
	m, got := standing(ids...), new(orders)
	return newDesk(m, Config{Do: func(o ops.Order, _ ops.Peer) (ops.Receipt, error) {
		got.mu.Lock()
		defer got.mu.Unlock()
		if got.broken {
			panic("broken")
		}
		if got.fail != nil {
			return ops.Receipt{}, got.fail
		}
		r, err := ops.Do(m, o)
		if err == nil {
			got.all = append(got.all, fmt.Sprintf("%s %s %q %q %s", o.Verb, o.ID, o.Actor, o.Reason, o.For))
		}
		return r, err
	}}), got
}

const oneRow = "SUCCESS\n" +
	"    id     state    time until half_open    failure count    failures until open\n" +
	"closed    closed                    None                0                      5\n"

func TestAnswer(t *testing.T) {
	d, _ := deskOf("closed", "two words", "tenants/a b", "t/ lead", "t/\x00")
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

func TestAnswerBroken(t *testing.T) {
	d, got := deskOf("a")
	got.fail = errors.New("no\nway")
	if got, want := string(d.answer("open a")), "ERROR\nInvalid order: no way\n"; got != want {
		t.Errorf("failing orders: got %q, want %q", got, want)
	}
	got.fail, got.broken = nil, true
	d.m = nil
	for _, line := range []string{"status", "status a", "open a", cmdOrder + ` {"id":"a","verb":"open","actor":"ann"}`, cmdLook, "explain a", "history a"} {
		if got, want := string(d.answer(line)), "ERROR\nUnexpected error\n"; got != want {
			t.Errorf("broken: answer(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	tests := []struct {
		name string
		all  []breaker.Status
		want []string
	}{
		{"none", nil, []string{
			"id    state    time until half_open    failure count    failures until open",
		}},
		{"the seed's", []breaker.Status{
			{ID: "foo", State: breaker.Open, UntilHalfOpen: 30 * time.Minute, FailCount: 5, FailuresUntilOpen: -1},
		}, []string{
			" id    state    time until half_open    failure count    failures until open",
			"foo     open                 0:30:00                5                   None",
		}},
		{"every state", []breaker.Status{
			{ID: "closed", FailuresUntilOpen: 5, Settings: fiveFails},
			{ID: "flaky", FailCount: 2, FailuresUntilOpen: 3, Settings: fiveFails},
			{ID: "low", FailCount: 7, FailuresUntilOpen: -2, Settings: fiveFails},
			{ID: "forced", State: breaker.ForcedOpen, Auto: breaker.Closed, FailuresUntilOpen: 5},
			{ID: "half", State: breaker.HalfOpen, FailCount: 5, FailuresUntilOpen: -1},
			{ID: "open", State: breaker.Open, UntilHalfOpen: 59898808 * time.Microsecond, FailCount: 5, FailuresUntilOpen: -1},
			{ID: "tenants/é", State: breaker.ForcedClosed, Auto: breaker.Open, UntilHalfOpen: time.Second},
			{ID: "t/\n\x1b\xff", FailuresUntilOpen: -1},
		}, []string{
			"       id            state    time until half_open    failure count    failures until open",
			"   closed           closed                    None                0                      5",
			"    flaky           closed                    None                2                      3",
			"      low           closed                    None                7                     -2",
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
	tests := []struct{ json, order, reply string }{
		{
			`{"verb":"force_open","id":"a","reason":"disk \"full\"\n","for":"30m","actor":"ann"}`, `force_open a "ann" "disk \"full\"\n" 30m0s`,
			`force_open","matched":1,"touched":1,"results":[{"id":"a","before":"closed","after":"forced-open","from_version":1,"version":2}]}`,
		},
		{
			`{"verb":"force_open","id":"a","reason":"x","for":"30m","actor":"ann","dry_run":true,"if_version":1}`, `force_open a "ann" "x" 30m0s`,
			`force_open","dry_run":true,"matched":1,"touched":1,"results":[{"id":"a","before":"closed","after":"forced-open","from_version":1,"version":1,"dry_run":true}]}`,
		},
		{`{"verb":"force_open","id":"a","reason":"x","actor":"ann"}`, "", `{"error":{"code":"order","message":"invalid order: force_open without an end, want a time (for) or no_expiry"}}`},
		{`{"verb":"open","id":"a","actor":"ann","if_version":9}`, "", `{"error":{"code":"version","message":"breaker has changed: a is at version 1, the order was for 9"}}`},
		{`{"verb":"open","id":"t/*","actor":"ann"}`, "", `{"error":{"code":"confirm","message":"t/* is for 2 breakers: confirm that number","matched":2}}`},
		{`{"verb":"open","id":"b","actor":"ann"}`, "", `{"error":{"code":"unknown","message":"unknown breaker \"b\", did you mean \"a\" or \"t\"?","near":["a","t"]}}`},
		{`{"verb":"set","id":"a","actor":"ann","settings":{"fail_max":"x"}}`, "", `"code":"settings"`},
		{`{"verb":"status","id":"a","actor":"ann"}`, "", `want open, close, half_open, force_open, force_closed, release or set`},
		{`{"verb":"force_open","id":"a","for":"soon"}`, "", `is no duration`},
		{`{"verb":"open","id":"a","hurry":1}`, "", `unknown field \"hurry\", want one JSON object`},
		{`{"verb":"open","id":"a","actor":"ann"} close a`, "", "want one JSON object"},
		{`{"verb":"open","id":"a"}`, "", "no actor"},
		{``, "", "want one JSON object"},
	}
	for _, tt := range tests {
		d, orders := deskOf("a", "t/1", "t/2")
		flag, got, _ := strings.Cut(strings.TrimSuffix(string(d.answer(cmdOrder+" "+tt.json)), "\n"), "\n")
		if tt.order != "" {
			tt.reply = before + tt.reply
		}
		if !strings.Contains(got, tt.reply) || (flag == flagSuccess) != (tt.order != "") {
			t.Errorf("%s\n got %s %s\nwant %s", tt.json, flag, got, tt.reply)
		}
		if order := strings.Join(orders.all, ", "); order != tt.order {
			t.Errorf("%s\n got order %q\nwant order %q", tt.json, order, tt.order)
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
	status := table([]breaker.Status{{ID: "a"}, {ID: "b b"}})
	row := table([]breaker.Status{{ID: "b b"}})
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

// FuzzLine sends anything through the protocol: it must answer every line that
// is not blank with one reply in the protocol's form, and nothing may reach a
// breaker but an order for an id there is.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"status\n", "status a\nopen a", "open\n\n \nclose a b\r\n", "status \x00\xff\n", "force_open a\x1f\n",
		cmdOrder + ` {"verb":"force_open","id":"a","actor":"x","reason":"y","for":"1h"}` + "\n", cmdOrder + " {", cmdLook + " t/*", "explain a\nhistory a b", "release t/\\x00\n", "\\\n",
		strings.Repeat("status ", maxLine/7+1) + "\nstatus",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		d, orders := deskOf("a", "a b", "t/\x00")
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
		for _, o := range orders.all {
			if id := strings.SplitN(o, ` "`, 2)[0]; !strings.HasSuffix(id, " a") && !strings.HasSuffix(id, " a b") && !strings.HasSuffix(id, " t/\x00") && !strings.HasSuffix(id, "*") {
				t.Errorf("order %q reached a breaker", o)
			}
		}
	})
}
