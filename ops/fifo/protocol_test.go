package fifo

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// fakeBoard has one breaker for each id and remembers what it was ordered.
type fakeBoard struct {
	mu     sync.Mutex // guards the fields below
	all    []breaker.Status
	orders []string
	fail   error // what Apply returns, when set
	broken bool  // panics
}

var fiveFails = breaker.Settings{FailMax: 5}

func newFakeBoard(ids ...string) *fakeBoard {
	b := &fakeBoard{}
	for _, id := range ids {
		b.all = append(b.all, breaker.Status{ID: id, FailuresUntilOpen: 5, Settings: fiveFails})
	}
	return b
}

func (b *fakeBoard) Status() []breaker.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		panic("broken board")
	}
	return append([]breaker.Status(nil), b.all...)
}

func (b *fakeBoard) StatusOf(id string) (breaker.Status, error) {
	for _, st := range b.Status() {
		if st.ID == id {
			return st, nil
		}
	}
	return breaker.Status{}, &breaker.UnknownError{ID: id}
}

func (b *fakeBoard) Apply(id string, o breaker.Order) (breaker.Receipt, error) {
	if _, err := b.StatusOf(id); err != nil {
		return breaker.Receipt{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return breaker.Receipt{}, b.fail
	}
	b.orders = append(b.orders, fmt.Sprintf("%s %s %q %q %s", o.Verb, id, o.Reason.Actor, o.Reason.Text, o.Reason.For))
	return breaker.Receipt{ID: id}, nil
}

func newDesk(b board) *desk { return &desk{b, slog.New(slog.DiscardHandler)} }

const oneRow = "SUCCESS\n" +
	"    id     state    time until half_open    failure count    failures until open\n" +
	"closed    closed                    None                0                      5\n"

func TestAnswer(t *testing.T) {
	d := newDesk(newFakeBoard("closed", "two words", "tenants/a b", " lead"))
	tests := []struct{ line, want string }{
		{"open closed", "SUCCESS\nChanged `closed` state\n"},
		{"close closed", "SUCCESS\nChanged `closed` state\n"},
		{"half_open closed", "SUCCESS\nChanged `closed` state\n"},
		{"force_open closed", "SUCCESS\nChanged `closed` state\n"},
		{"force_closed closed", "SUCCESS\nChanged `closed` state\n"},
		{"release closed", "SUCCESS\nChanged `closed` state\n"},
		{"open two words", "SUCCESS\nChanged `two words` state\n"},
		{"open tenants/a b", "SUCCESS\nChanged `tenants/a b` state\n"},
		{"open  lead", "SUCCESS\nChanged ` lead` state\n"},
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
	b := newFakeBoard("a")
	d := newDesk(b)
	b.fail = errors.New("no\nway")
	if got, want := string(d.answer("open a")), "ERROR\nInvalid order: no way\n"; got != want {
		t.Errorf("failing board: got %q, want %q", got, want)
	}
	b.broken = true
	for _, line := range []string{"status", "status a", "open a"} {
		if got, want := string(d.answer(line)), "ERROR\nUnexpected error\n"; got != want {
			t.Errorf("broken board: answer(%q) = %q, want %q", line, got, want)
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

func TestExtendedOrder(t *testing.T) {
	tests := []struct{ json, order, reply string }{
		{`{"verb":"force_open","id":"a","reason":"disk \"full\"\n","for":"30m","actor":"ann","pid":7}`, `force_open a "ann (pid 7)" "disk \"full\"\n" 30m0s`, "Changed `a` state"},
		{`{"verb":"release","id":"a"}`, `release a "pipe" "" 0s`, "Changed `a` state"},
		{`{"verb":"open","id":"nosuch"}`, "", "Invalid identifier: nosuch"},
		{`{"verb":"status","id":"a"}`, "", `Invalid order: unknown verb "status", want open, close, half_open, force_open, force_closed or release`},
		{`{"verb":"force_open","id":"a","for":"soon"}`, "", `Invalid order: for is "soon", want a time such as 30m`},
		{`{"verb":"force_open","id":"a","for":"-1s"}`, "", `Invalid order: for is "-1s", want a time such as 30m`},
		{`{"verb":"open","id":"a","hurry":1}`, "", `Invalid order: want a JSON object after switchgear-order: json: unknown field "hurry"`},
		{`{"verb":"open","id":"a"} close a`, "", "Invalid order: want nothing after the JSON object"},
		{``, "", "Invalid order: want a JSON object after switchgear-order: EOF"},
	}
	for _, tt := range tests {
		b := newFakeBoard("a")
		_, got, _ := strings.Cut(strings.TrimSuffix(string(newDesk(b).answer(cmdExtended+" "+tt.json)), "\n"), "\n")
		if got != tt.reply {
			t.Errorf("%s\n got %q\nwant %q", tt.json, got, tt.reply)
		}
		if order := strings.Join(b.orders, ", "); order != tt.order {
			t.Errorf("%s\n got order %q\nwant order %q", tt.json, order, tt.order)
		}
	}
}

func TestOrderRoundTrip(t *testing.T) {
	want := breaker.Order{Verb: breaker.VerbForceOpen, Reason: breaker.Reason{Actor: "ann", Text: "a\nb\u2028", For: 90 * time.Second}}
	line, err := encodeOrder(want.Verb, "x/ y\n", want.Reason, 0)
	if err != nil || strings.Contains(line, "\n") {
		t.Fatalf("encodeOrder = %q, %v", line, err)
	}
	id, got, err := decodeOrder(strings.TrimPrefix(line, cmdExtended+" "))
	if err != nil || id != "x/ y\n" || got != want {
		t.Errorf("decodeOrder = %q, %+v, %v, want %+v", id, got, err, want)
	}
	if _, err := encodeOrder(want.Verb, "\xff", want.Reason, 0); !errors.Is(err, breaker.ErrOrder) {
		t.Errorf("an id that is no UTF-8: got %v, want ErrOrder", err)
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
	}
	for _, tt := range tests {
		r, _ := parseReply([]byte(tt.file))
		if got := plainQuestion(tt.cmd, tt.id).answeredBy(r, true); got != tt.want {
			t.Errorf("%s %q answered by %q: got %v, want %v", tt.cmd, tt.id, tt.file, got, tt.want)
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
		cmdExtended + ` {"verb":"force_open","id":"a","for":"1h"}` + "\n", cmdExtended + " {", "release t/\\x00\n", "\\\n",
		strings.Repeat("status ", maxLine/7+1) + "\nstatus",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		b := newFakeBoard("a", "a b", "t/\x00")
		d := newDesk(b)
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
		for _, o := range b.orders {
			if id := strings.SplitN(o, ` "`, 2)[0]; !strings.HasSuffix(id, " a") && !strings.HasSuffix(id, " a b") && !strings.HasSuffix(id, " t/\x00") {
				t.Errorf("order %q reached a breaker", o)
			}
		}
	})
}
