package ops

import (
	"errors"
	"fmt"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

// A receipt counts what it lists: failures are reported, and not counted as
// changed.
func TestReceiptCountsFailures(t *testing.T) {
	r := Receipt{Verb: breaker.VerbOpen}
	moved := Result{Receipt: breaker.Receipt{From: 1, Version: 2}}
	r.add(moved, nil)
	r.add(moved, errors.New("no"))
	r.add(Result{Receipt: breaker.Receipt{From: 2, Version: 2}}, nil)
	if r.Touched != 1 || r.Failed != 1 || len(r.Results) != 3 || r.Results[1].Error != "no" {
		t.Errorf("receipt %+v, want 1 touched and 1 failed of 3", r)
	}
}

// A long receipt keeps 1,000 results, those that failed first, in their order.
func TestReceiptIsShortened(t *testing.T) {
	make := func(n int) (r Receipt) {
		for i := range n {
			var err error
			if i >= n-2 {
				err = errors.New("no")
			}
			r.add(Result{Receipt: breaker.Receipt{ID: fmt.Sprint(i)}}, err)
		}
		r.shorten()
		return r
	}
	if r := make(1000); len(r.Results) != 1000 || r.Omitted != 0 || r.Results[0].ID != "0" {
		t.Errorf("1,000 results: %d are kept from %s on, %d are omitted", len(r.Results), r.Results[0].ID, r.Omitted)
	}
	r := make(1003)
	if len(r.Results) != 1000 || cap(r.Results) != 1000 || r.Omitted != 3 {
		t.Errorf("1,003 results: %d are kept, %d are omitted", len(r.Results), r.Omitted)
	}
	for i, want := range map[int]string{0: "1001", 1: "1002", 2: "0", 3: "1", 999: "997"} {
		if got := r.Results[i].ID; got != want {
			t.Errorf("result %d is of %s, want %s", i, got, want)
		}
	}
}
