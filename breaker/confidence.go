package breaker

import "math"

// SurelyOver reports whether this many failures among calls show, with
// confidence sure, that the true failure rate is above rate. It is the test
// behind Settings.Confidence: if the true rate were rate, at least as many
// failures would occur by chance with a probability of at most 1-sure.
func SurelyOver(failures, calls int, rate, sure float64) bool {
	if float64(failures) <= rate*float64(calls) {
		return false // no more than expected: skip the arithmetic
	}
	return byChance(failures, calls, rate) <= 1-sure
}

// byChance returns P(X >= failures) for X ~ Binomial(calls, rate), by its
// relation to the beta distribution (DLMF 8.17.5).
func byChance(failures, calls int, rate float64) float64 {
	return betaCDF(float64(failures), float64(calls-failures+1), rate)
}

// betaCDF returns the regularised incomplete beta function I_x(a, b), computed
// from its continued fraction (DLMF 8.17.22). The fraction converges fast if x
// is below the mean; otherwise the symmetry I_x(a,b) = 1 - I_{1-x}(b,a) is
// used.
func betaCDF(a, b, x float64) float64 {
	if x > (a+1)/(a+b+2) {
		return 1 - betaCDF(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	return front / a * betaFraction(a, b, x)
}

// betaFraction evaluates the continued fraction 1/(1+ d1/(1+ d2/(1+ ...))) by
// Lentz's method, which keeps the ratios of successive numerators and
// denominators.
func betaFraction(a, b, x float64) float64 {
	const tiny, eps = 1e-300, 1e-14
	away := func(v float64) float64 { // a ratio must not be 0
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c := 1.0
	d := 1 / away(1-(a+b)*x/(a+1))
	f := d
	for i := 1; i < 10_000; i++ {
		m := float64(i)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / away(1+even*d)
		c = away(1 + even/c)
		f *= d * c
		d = 1 / away(1+odd*d)
		c = away(1 + odd/c)
		step := d * c
		f *= step
		if math.Abs(step-1) < eps {
			break
		}
	}
	return f
}
