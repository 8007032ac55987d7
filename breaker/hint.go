package breaker

import "time"

// RetryAfterHinter is an error that carries the dependency's word on when it
// wants to be asked again, such as HTTP's Retry-After. A failure that trips
// the breaker and has one in its tree lengthens the open time to it, up to
// Settings.ResetMax. The RetryAfter of a breaker's rejection is no such word.
type RetryAfterHinter interface {
	RetryAfter() time.Duration
}

// hint is the retry-after that err carries, or 0.
func (c *config) hint(err error) (d time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("error", p)
			d = 0
		}
	}()
	if h := findHint(err); h != nil && !rejectedOnly(err) {
		return h.RetryAfter()
	}
	return 0
}

// findHint is errors.As without its allocation, as every failure passes here.
func findHint(err error) RetryAfterHinter {
	for err != nil {
		if _, ok := err.(*OpenError); ok { //nolint:errorlint // this is the walk through the wrapped errors
			return nil
		}
		if h, ok := err.(RetryAfterHinter); ok {
			return h
		}
		switch u := err.(type) { //nolint:errorlint // as above
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if h := findHint(e); h != nil {
					return h
				}
			}
			return nil
		default:
			return nil
		}
	}
	return nil
}
