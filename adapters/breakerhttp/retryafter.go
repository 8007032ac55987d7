package breakerhttp

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter parses the Retry-After header: a number of seconds, or an HTTP
// date, which is counted from now. A date that has passed is 0. It reports
// whether there is a valid value.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		return wholeSeconds(text), true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return max(0, date.Sub(now)), true
}

// wholeSeconds returns a number of seconds, or as much as a Duration can hold.
func wholeSeconds(digits string) time.Duration {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > int64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// StatusError is the error that the breaker records for an answer that counts
// as a failure. Callers do not receive it, only breaker.Listener.Failure and
// classifiers do; callers receive the answer itself.
type StatusError struct {
	Code int // the status code
	wait time.Duration
}

func newStatusError(code int, h http.Header) *StatusError {
	e := &StatusError{Code: code}
	if len(h["Retry-After"]) > 0 {
		e.wait, _ = RetryAfter(h, time.Now())
	}
	return e
}

// Error returns the status line, such as "503 Service Unavailable".
func (e *StatusError) Error() string {
	if text := http.StatusText(e.Code); text != "" {
		return fmt.Sprintf("%d %s", e.Code, text)
	}
	return fmt.Sprintf("status %d", e.Code)
}

// RetryAfter returns the Retry-After of the answer, or 0. See
// breaker.RetryAfterHinter.
func (e *StatusError) RetryAfter() time.Duration { return e.wait }
