package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
)

func someReport() *Report {
	return &Report{
		Boot: 7, Seq: 300, Zone: "b", Member: "pod-1/17", Build: "v1.2.3", Settings: 1 << 60, Breakers: 20,
		Advise: true, Orders: true, Partial: true, Done: 9, Interval: time.Second, Clock: 4,
		Claims: []verdict.Claim{{
			ID: "tenant/acme", State: breaker.ForcedClosed, Auto: breaker.Open, Stamp: 3, Under: 5,
			Tripped: true, Overruled: true, Advised: true,
			Probe: verdict.Probe{Epoch: 5, Attempt: 2, Result: verdict.Failed}, Lease: 30 * time.Second,
			Spans:  [verdict.SpanCount]verdict.Evidence{{Calls: 20, Failures: 11, Slow: 3}, {Calls: 20}, {Calls: 1, Failures: 1}},
			Demand: 77, Rule: verdict.Rule{FailureRate: 0.5, SlowRate: 0.25, Every: 2 * time.Second, Backoff: 1.5, Max: time.Minute},
		}},
		Well: []Well{{Hash: Hash("db"), Calls: [3]int{20, 20, 3}, SlowRule: true}},
	}
}

func someDigest() *Digest {
	return &Digest{
		Term: 3, Seq: 9, By: 7, Orders: 2, Members: 40, Silent: 1, Dropped: 2, Beyond: 7, Clock: 12, Quiet: []Quiet{{3, time.Second}, {4, time.Minute}},
		Subjects: map[string]*verdict.Subject{"db": {
			ID: "db", Suspect: time.Minute, Asked: time.Second,
			Fleet: verdict.Scope{Since: 4},
			Zones: map[string]*verdict.Scope{"b": {
				Since: 5, Open: true, Epoch: 12, Attempt: 2, Passed: 1, Wait: 1200 * time.Millisecond, OpenFor: 2 * time.Second,
				Rule: verdict.Rule{Every: 2 * time.Second, Backoff: 2, Max: time.Minute},
				Why: verdict.Why{
					Kind: verdict.Slow, Span: 1, Rate: 0.5,
					Tally: verdict.Tally{Evidence: verdict.Evidence{Calls: 61, Failures: 58, Slow: 2}, Against: 22, Reporting: 24},
					Zones: map[string]verdict.Tally{"b": {Evidence: verdict.Evidence{Calls: 1}, Reporting: 1}},
				},
				Arms:  []verdict.Arm{{Member: 1, Active: true}, {Member: 2, Done: true}},
				Probe: verdict.Known{Member: 1, Left: 3 * time.Second},
			}},
		}},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("secret")} {
		s := Seal{Group: "checkout", Key: key}
		body, err := s.Open(KindReport, s.Close(KindReport, someReport().Append()))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ReadReport(body)
		if err != nil || !reflect.DeepEqual(r, someReport()) {
			t.Errorf("report: got %+v, %v; want %+v", r, err, someReport())
		}
		body, err = s.Open(KindDigest, s.Close(KindDigest, someDigest().Append()))
		if err != nil {
			t.Fatal(err)
		}
		d, err := ReadDigest(body)
		if err != nil || !reflect.DeepEqual(d, someDigest()) {
			t.Errorf("digest: got %+v, %v; want %+v", d, err, someDigest())
		}
	}
}

// What is not understood is dropped with the reason, never guessed (F13).
func TestOpenRefuses(t *testing.T) {
	s := Seal{Group: "checkout", Key: []byte("secret")}
	good := s.Close(KindReport, someReport().Append())
	flipped := bytes.Clone(good)
	flipped[10] ^= 1
	other := bytes.Clone(good)
	other[0] = Version + 1
	for _, c := range []struct {
		name    string
		message []byte
		seal    Seal
		kind    Kind
		want    error
	}{
		{"nothing", nil, s, KindReport, ErrMalformed},
		{"another version", other, s, KindReport, ErrVersion},
		{"a bit flipped", flipped, s, KindReport, ErrSignature},
		{"of another kind", good, s, KindOrder, ErrSignature},
		{"of another group", good, Seal{Group: "payments", Key: s.Key}, KindReport, ErrSignature},
		{"another key", good, Seal{Group: "checkout", Key: []byte("other")}, KindReport, ErrSignature},
		{"not signed", Seal{Group: "checkout"}.Close(KindReport, nil), s, KindReport, ErrSignature},
		{"cut off", good[:10], Seal{}, KindReport, ErrMalformed},
		{"too large", make([]byte, MaxReport+100), s, KindReport, ErrSize},
	} {
		if _, err := c.seal.Open(c.kind, c.message); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := (Seal{}).Open(KindReport, good); err != nil {
		t.Errorf("who has no key reads signed messages: %v", err)
	}
}

// A newer minor version adds sections, and fields at the end of those that are
// known.
func TestUnknownIsSkipped(t *testing.T) {
	b := section(nil, 200, []byte("from the future"))
	b = append(b, someReport().Append()...)
	b = section(b, 201, nil)
	r, err := ReadReport(b)
	if err != nil || len(r.Claims) != 1 {
		t.Fatalf("%v, %v", r, err)
	}
	longer := section(nil, secMember, append(memberSection(t), 1, 2, 3))
	if _, err := ReadReport(longer); err != nil {
		t.Errorf("a longer section: %v", err)
	}
}

func memberSection(t *testing.T) (out []byte) {
	t.Helper()
	if err := sections((&Report{Boot: 1, Member: "m"}).Append(), func(kind byte, in *reader) bool {
		out = bytes.Clone(in.b)
		in.b = nil
		return false
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// A member with more to say than a report holds says the first, and how many it
// left out (F11).
func TestReportIsBounded(t *testing.T) {
	r := someReport()
	r.Well = make([]Well, MaxWell)
	for i := range 1000 {
		c := r.Claims[0]
		c.ID = fmt.Sprint("tenant/", i)
		r.Claims = append(r.Claims, c)
	}
	b := r.Append()
	if len(b) > MaxReport {
		t.Errorf("%d bytes, want at most %d", len(b), MaxReport)
	}
	got, err := ReadReport(b)
	if err != nil || got.Omitted+len(got.Claims) != 1001 || len(got.Claims) < 20 {
		t.Errorf("%d claims and %d left out: %v", len(got.Claims), got.Omitted, err)
	}
}

func TestDigestIsBounded(t *testing.T) {
	d := someDigest()
	for i := range 2000 {
		id := fmt.Sprintf("tenant/%d%0200d", i, 0)
		d.Subjects[id] = &verdict.Subject{ID: id, Suspect: time.Second}
	}
	b := d.Append()
	got, err := ReadDigest(b)
	if len(b) > MaxDigest || err != nil || got.Omitted == 0 || got.Subjects["db"] == nil {
		t.Errorf("%d bytes, %d left out, the open one kept: %v; %v", len(b), got.Omitted, got.Subjects["db"] != nil, err)
	}
}

// Sizes that docs/fleet.md and the load at the store rest on.
func TestSizes(t *testing.T) {
	quiet := &Report{Boot: 1, Seq: 100_000, Zone: "eu-1a", Member: "checkout-7d9c/1", Build: "v1.4.2", Interval: time.Second, Clock: 100_000}
	base := len(quiet.Append())
	quiet.Well = make([]Well, 20)
	if well := (len(quiet.Append()) - base) / 20; base > 100 || well > 12 {
		t.Errorf("a quiet report has %d bytes and %d for each breaker, want at most 100 and 12", base, well)
	}
}

func FuzzReport(f *testing.F) {
	f.Add(someReport().Append())
	f.Add([]byte{secClaim, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadReport(b)
		if err != nil {
			return
		}
		for _, c := range r.Claims {
			for _, e := range c.Spans {
				if e.Failures > e.Calls || e.Calls < 0 {
					t.Fatalf("%+v", e)
				}
			}
		}
		// Whatever is read, counting it must end and not panic.
		k := &verdict.Coordinator{Params: verdict.Defaults()}
		for range 3 {
			k.Step(time.Second, []verdict.Member{{ID: 1, Zone: r.Zone, Claims: r.Claims}, {ID: 2, Claims: r.Claims}})
		}
		if len(k.Subjects) > verdict.MaxSubjects {
			t.Fatalf("%d subjects", len(k.Subjects))
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add(someDigest().Append())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ReadDigest(b)
		if err != nil {
			return
		}
		again, err := ReadDigest(d.Append())
		if err != nil || len(again.Subjects) > len(d.Subjects) {
			t.Fatalf("what was read does not survive being written: %v", err)
		}
		// Whatever a digest says, a member with good evidence of its own stays
		// closed (F4).
		p := verdict.Defaults()
		for _, s := range d.Subjects {
			var o verdict.Own
			o.Add(time.Minute, verdict.Evidence{Calls: 50})
			l := &verdict.Local{Rule: verdict.Rule{FailureRate: 0.5}}
			v := &verdict.View{Heard: true, Clock: d.Clock, Subject: s}
			if act := o.Step(&p, time.Minute, l, v); act.Open > 0 {
				t.Fatalf("opened by %+v", s)
			}
		}
	})
}

// FuzzOpen: someone without the key, or with another one, gets nothing past a seal, and
// records of any bytes are read or refused.
func FuzzOpen(f *testing.F) {
	key := Seal{Group: "g", Key: []byte("0123456789abcdef")}
	for _, k := range []Kind{KindOrder, KindReceipt, KindInventory, KindHistory} {
		m, err := Seal{}.CloseRecord(k, map[string]any{"id": "x", "order": map[string]any{"id": "db", "verb": "open"}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(k), m)
	}
	f.Add(byte(KindReport), Seal{}.Close(KindReport, someReport().Append()))
	f.Fuzz(func(t *testing.T, kind byte, message []byte) {
		if _, err := key.Open(Kind(kind), message); err == nil {
			t.Fatal("it has no signature")
		}
		forged := Seal{Group: "g", Key: []byte("another key of 16")}.Close(Kind(kind), message)
		if _, err := key.Open(Kind(kind), forged); err == nil {
			t.Fatal("it is signed with another key")
		}
		for _, v := range []any{new(Order), new(Receipt), new(Inventory), new(History)} {
			_ = Seal{}.OpenRecord(Kind(kind), message, v) // it must not panic
		}
	})
}
