//go:build !race

package ops_test

const veryMany = 100_000
