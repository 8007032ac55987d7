package plain

import "fmt"

// Count returns a number of things in words, such as "1 call" or "3 calls".
func Count[N int | uint64 | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
