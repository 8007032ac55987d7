package plain

import "fmt"

// Count returns a number with the word for one or for several, such as "1 call" or
// "3 calls".
func Count[N int | uint64 | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
