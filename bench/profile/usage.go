package main

import (
	"bytes"
	"math"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

const breakerPackage = "github.com/switchgear-go/switchgear/breaker."

// guarded is the name of the guarded function in a profile.
const guarded = "main.get"

// A usage is where a profile's CPU time went.
type usage struct {
	total   time.Duration
	breaker time.Duration // in the breaker or in something that it called, the guarded function excepted
	flat    time.Duration // in the breaker's own instructions
	samples int
}

func (u usage) share() float64 { return float64(u.breaker) / float64(u.total) }

// deviation is the standard deviation of share: a profile is a sample.
func (u usage) deviation() float64 {
	p := max(u.share(), 1/float64(u.samples))
	return math.Sqrt(p * (1 - p) / float64(u.samples))
}

func usageOf(data []byte) (u usage, err error) {
	p, err := profile.Parse(bytes.NewReader(data))
	if err != nil {
		return u, err
	}
	for _, s := range p.Sample {
		took := time.Duration(s.Value[len(s.Value)-1])
		u.total += took
		u.samples += int(s.Value[0])
		for i, name := range stack(s) {
			if strings.HasPrefix(name, guarded) {
				break // called by the breaker, but not its work
			}
			if strings.HasPrefix(name, breakerPackage) {
				u.breaker += took
				if i == 0 {
					u.flat += took
				}
				break
			}
		}
	}
	return u, nil
}

// stack lists the functions of a sample, the innermost first, inlined ones too.
func stack(s *profile.Sample) (names []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			names = append(names, line.Function.Name)
		}
	}
	return names
}
