package replay

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// What is written is what is read again: calls, transitions and settings.
func TestTraceWriteTo(t *testing.T) {
	golden, err := Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	csv, err := Import(strings.NewReader("at,took,outcome,key\n1772359202.1234,1ms,ok,a\n1772359203.1234,1ms,503,b\n1772359204.1234,0,rejected,b\n"), ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*Trace{golden, csv, outages(1)} {
		var file bytes.Buffer
		n, err := want.WriteTo(&file)
		if err != nil || n != int64(file.Len()) {
			t.Fatalf("%d bytes of %d, %v", n, file.Len(), err)
		}
		got := read(t, file.Bytes())
		if got.Calls != want.Calls || got.Rejected != want.Rejected || !got.Began.Equal(want.Began) || !got.Ended.Equal(want.Ended) || len(got.Breakers) != len(want.Breakers) {
			t.Errorf("%s: %d calls and %d rejected from %v to %v, want %d, %d, %v, %v", want.Source, got.Calls, got.Rejected, got.Began, got.Ended, want.Calls, want.Rejected, want.Began, want.Ended)
		}
		wantCalls, gotCalls := callsOf(t, want), callsOf(t, got)
		for i, l := range want.Breakers {
			g := got.Breakers[i]
			if g.ID != l.ID || g.Settings != l.Settings || g.Fresh != l.Fresh || len(gotCalls[g]) != len(wantCalls[l]) || len(g.moves) != len(l.moves) || !reflect.DeepEqual(g.stepBase, l.stepBase) {
				t.Errorf("%s, %s: %+v differs", want.Source, l.ID, g.ID)
				continue
			}
			for k := range wantCalls[l] {
				if a, b := wantCalls[l][k], gotCalls[g][k]; a.Began != b.Began || a.Ended != b.Ended || a.What.Renumbered(0) != b.What.Renumbered(0) {
					t.Fatalf("%s, %s: call %d is %+v, want %+v", want.Source, l.ID, k, b, a)
				}
			}
		}
		if v, w := got.Verify(), want.Verify(); v.Reproduced != w.Reproduced || v.Differing != w.Differing {
			t.Errorf("%s: %v, want %v", want.Source, v, w)
		}
	}
}
