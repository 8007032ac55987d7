package lab

import (
	"math"
	"math/big"
)

// callsToTrip returns the mean number of calls until FailMax opens a breaker,
// if calls fail independently with probability failing/1000: exact, by solving
// the Markov chain of the count. forgive is SuccessesToForgive; 0 is off, so
// that one success forgives all.
func callsToTrip(failMax, forgive, failing int) float64 {
	// The state is the failures counted, in units of what a success takes back.
	up, down := max(1, forgive), 1
	states := failMax * up
	if forgive == 0 {
		down = states
	}
	// h[s] = 1 + p h[s+up] + q h[s-down], and h is 0 from FailMax on. Rational
	// numbers, because h differs by a factor of 1e16 from the terms it is made of.
	p := big.NewRat(int64(failing), 1000)
	q := new(big.Rat).Sub(big.NewRat(1, 1), p)
	m := make([][]*big.Rat, states)
	for s := range m {
		m[s] = make([]*big.Rat, states+1)
		for j := range m[s] {
			m[s][j] = new(big.Rat)
		}
		m[s][s].Add(m[s][s], big.NewRat(1, 1))
		if s+up < states {
			m[s][s+up].Sub(m[s][s+up], p)
		}
		back := max(0, s-down)
		m[s][back].Sub(m[s][back], q)
		m[s][states].SetInt64(1)
	}
	h, _ := solve(m).Float64()
	return h
}

// solve eliminates all unknowns of the equations but the first, and returns it.
func solve(m [][]*big.Rat) *big.Rat {
	n := len(m)
	product := new(big.Rat)
	for last := n - 1; last > 0; last-- {
		for s := range last {
			if m[s][last].Sign() == 0 {
				continue
			}
			factor := new(big.Rat).Quo(m[s][last], m[last][last])
			for j := range m[s] {
				if j <= last || j == n {
					m[s][j].Sub(m[s][j], product.Mul(factor, m[last][j]))
				}
			}
		}
	}
	return new(big.Rat).Quo(m[0][n], m[0][0])
}

// chanceADay returns the probability of at least one trip in a day with this
// many calls per second, and how many trips to expect.
func chanceADay(callsToTrip, rate float64) (chance, trips float64) {
	trips = day * rate / callsToTrip
	return -math.Expm1(-trips), trips
}
