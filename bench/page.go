package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// writePage writes BENCHMARKS.md. Nothing on that page is typed by hand, except
// what follows handMark, which it keeps.
func writePage(file string, rows []*Row, took time.Duration, command, profileFile string) error {
	var b bytes.Buffer
	p := printer{w: &b, markdown: true}
	p.text("# Benchmarks", "",
		"What guarding a call costs with Switchgear, with other breakers, and with nothing. This page is the output of one",
		"command, in `bench/`, a separate module that nothing imports:", "",
		"    cd bench && GOWORK=off go run . "+command, "",
		fmt.Sprintf("It ran on %s for %s.", time.Now().UTC().Format("2006-01-02"), took))
	p.heading("Machine and versions")
	p.table([]string{"what", "value"}, machine())
	p.text("", "Of the libraries that the project knows of, `mercari/go-circuitbreaker` and `cep21/circuit` are missing: the module",
		"proxy that this page was made with does not serve them.")
	p.heading("Method")
	p.text(method...)
	if p.targets(rows) > 0 {
		p.heading("What stands between")
		p.text(between...)
	}
	p.rows(rows)
	calls, failed := audit(rows)
	p.text("", fmt.Sprintf("%s guarded calls ran in %d rows; %d rows did not do their work.", thousands(calls), len(rows), failed))
	if profileFile != "" {
		out, err := os.ReadFile(profileFile)
		if err != nil {
			return err
		}
		p.heading("A profile that users would see")
		p.text("A guarded `net/http` client under load on loopback, `cd bench && GOWORK=off go run ./profile -seconds 60`:", "", "```")
		p.text(strings.TrimRight(string(out), "\n"), "```")
	}
	kept, err := lastPart(file)
	if err != nil {
		return err
	}
	b.WriteString(kept)
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// handMark begins the part of the page that is written by hand, up to its end.
const handMark = "\n<!-- The command keeps what follows. -->\n"

// lastPart returns the part of an existing page that is written by hand.
func lastPart(file string) (string, error) {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	_, kept, found := strings.Cut(string(old), handMark)
	if !found {
		return "", nil
	}
	return handMark + kept, nil
}

var method = []string{
	"- One process, and all cases side by side: every round runs each case for some milliseconds, in a new order, after a",
	"  collection. Drift, or other load on the machine, favours no case. The figures are the median of the rounds",
	"  and half of the interquartile range.",
	"- *Serial* is one goroutine, *n procs* are n goroutines under GOMAXPROCS=n, and their time is that of the whole divided by",
	"  all operations: half of the serial time means that two procs got twice as much done.",
	"- A batch that did not get the processors it asked for is repeated, at most twice, and the one that got the most of them",
	"  counts: the choice looks at processor time, never at the result. Where most rounds of ours got less than 90 %, a",
	"  target that needs several processors is not judged.",
	"- Ratios are taken within each round, and the median of those ratios counts. Compare ratios, not nanoseconds: these belong",
	"  to one machine on one day.",
	"- The guarded function counts its calls, in every case and in the bare call too. A case whose calls did not run (or were",
	"  not rejected, where that is the case) is shown as such, and fails the command.",
	"- Every loop holds the library's call itself: there is no interface, closure or wrapper between the clock and the library,",
	"  and each library gets the function in the shape that it asks for.",
	"- All breakers open after 5 failures in a row (or at half of at least 20 calls in 10 s, or of the last 100 calls) for a",
	"  minute. A full cycle opens at the first failure for 100 us; the wait is taken out of the time.",
	"- *Cycles* come from a chain of dependent operations of one cycle each, timed in the same rounds.",
	"- Memory is heap and stacks in use after two full collections, divided by how many were made.",
}

// between says why targets were not reached on the machines seen so far.
var between = []string{
	"- `Do` and the empty wrapper: beside what the wrapper does, `Do` loads the breaker's word twice, asks it for marks and",
	"  compares it. Other shapes (a flag, a method of a guard on the stack, two functions) were measured and cost the same",
	"  or more.",
	"- `Do` and eapache, which looks at nothing when a call succeeds: the empty deferred",
	"  wrapper alone comes to three quarters of it.",
	"- gobreaker and failsafe-go read `time.Now` for each call. The targets are from a machine where that took 61 ns; where it",
	"  takes less, as above, they are the faster for it and we are not. Rejecting costs about a bare call: less is not to be had.",
	"- A time window costs one compare-and-swap more than `Do`, and that alone is most of the difference.",
	"- A full cycle reads the clock three times, which alone is half of gobreaker's cycle, and makes three records: for an",
	"  operator who asks why, also when the history is off.",
	"- 1 % failures on two procs: a failure, and the success behind it, each write the word that all callers read. Consecutive",
	"  failures cannot be counted without.",
	"- The slow-call rule reads the coarse clock before and after each call, which takes one more function call.",
	"- A single breaker has its own configuration of 144 B, with room for what few breakers use: counts, a recording, shadows.",
	"  With a window of time or a SlowCall it also has its own compiled settings, 256 B, because a clock must not be shared.",
	"  The keys of a set share both; the breakers of a manager share the settings.",
}

// machine lists what the figures depend on, and the version of each library.
func machine() [][]string {
	lines := [][]string{
		{"Go", runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		{"CPU", fmt.Sprintf("%s, %d cores", cpuModel(), runtime.NumCPU())},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return lines
	}
	wanted := []string{"gobreaker", "failsafe-go", "go-resiliency", "rubyist", "hystrix", "go-zero", "aegis", "bytedance/gopkg"}
	for _, dep := range info.Deps {
		for _, w := range wanted {
			if strings.Contains(dep.Path, w) {
				lines = append(lines, []string{dep.Path, dep.Version})
			}
		}
	}
	return lines
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(name, "\t: ")
		}
	}
	return "unknown"
}
