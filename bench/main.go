package main

import (
	"fmt"
	"time"
)

func main() {
	procs := []int{0, 1, 2, 8}
	cases := append(limits(procs), workloads(rivals(), procs)...)
	s := time.Now()
	rows := measureAll(cases, Effort{Rounds: 5, Batch: 3 * time.Millisecond}, nil)
	for _, r := range rows {
		fmt.Printf("%-60s %9.1f ns  %4.0f%%  %5.1f allocs  %d ran %v\n", r.ID(), r.Median(), 100*r.Spread(), r.Allocs, r.Calls, r.Err)
	}
	fmt.Println(time.Since(s))
}
