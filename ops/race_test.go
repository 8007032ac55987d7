//go:build race

package ops_test

const veryMany = 5_000
