package main

import (
	"bytes"
	"testing"

	"github.com/google/pprof/profile"
)

// TestUsage gives the breaker what it and its callees take, and nothing of
// what the guarded function does.
func TestUsage(t *testing.T) {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples"}, {Type: "cpu", Unit: "nanoseconds"}}}
	id := uint64(0)
	sample := func(took int64, innermostFirst ...string) {
		s := &profile.Sample{Value: []int64{1, took}}
		for _, name := range innermostFirst {
			id++
			f := &profile.Function{ID: id, Name: name}
			l := &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
			p.Function, p.Location = append(p.Function, f), append(p.Location, l)
			s.Location = append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	const do = breakerPackage + "(*Breaker).Do"
	sample(1, do, "main.load.func1")
	sample(10, "runtime.mapaccess1", do, "main.load.func1")
	sample(100, "net/http.(*Client).Do", "main.get", "main.load.func1.1", do, "main.load.func1")
	sample(1000, "runtime.mallocgc", "main.load.func1")
	var buf bytes.Buffer
	if err := p.Write(&buf); err != nil {
		t.Fatal(err)
	}
	u, err := usageOf(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if u.total != 1111 || u.breaker != 11 || u.flat != 1 {
		t.Errorf("total, breaker, flat = %d, %d, %d, want 1111, 11, 1", u.total, u.breaker, u.flat)
	}
}
