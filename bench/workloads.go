package main

import "fmt"

// The groups of the table, in its order.
const (
	closed  = "closed"
	failing = "1 % failures"
	opened  = "open"
	cycling = "full cycle"
)

// workloads runs every contender through every workload.
func workloads(cs []contender, procs []int) []*Case {
	var cases []*Case
	for _, c := range cs {
		how := c.rule + ", " + c.how
		for _, p := range procs {
			cases = append(cases, &Case{
				Group: closed, Who: c.who, How: how, Procs: p, Check: allRan, note: c.note,
				Build: func() maker { return c.build(usual) },
			})
		}
		for _, p := range procs {
			if p != 0 && p != 2 {
				continue
			}
			cases = append(cases, &Case{
				Group: failing, Who: c.who, How: how, Procs: p, Every: 100, Phase: 50, Check: someFail(100),
				Build: func() maker { return c.build(lenient(c)) },
			})
			if c.openShare > 0 {
				cases = append(cases, &Case{
					Group: opened, Who: c.who, How: how, Procs: p, Every: 1, Warm: 10_000, Check: mostRejected(c.openShare),
					Build: func() maker { return c.build(staying) },
				})
			}
		}
		if c.cycles {
			cases = append(cases, &Case{
				Group: cycling, Who: c.who, How: how, Check: fullCycles,
				Build: func() maker { return cycled(func() maker { return c.build(brief) }) },
			})
		}
	}
	return cases
}

// lenient is the usual setup, except for eapache, which would be open all the
// time: any five failures without a pause of a minute between them open it.
func lenient(c contender) setup {
	if c.who == "eapache" {
		return setup{1 << 40, usual.open}
	}
	return usual
}

func procsName(p int) string {
	if p == 1 {
		return "1 proc"
	}
	return fmt.Sprintf("%d procs", p)
}
