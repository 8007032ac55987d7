package breaker

import "time"

// RetryAfterHinter is an error that says when the dependency wants to be called
// again, such as HTTP's Retry-After. If the failure that trips the breaker has
// such an error in its tree, the open time lasts at least that long, up to
// Settings.ResetMax. A breaker's own rejections, which have a RetryAfter method
// too, are not used.
type RetryAfterHinter interface {
	RetryAfter() time.Duration
}

// hint returns the retry-after that err carries, or 0. It calls user code: no
// lock is held (I10).
func (c *config) hint(err error) time.Duration {
	defer func() {
		if p := recover(); p != nil {
			c.caught("a method of an error", p)
		}
	}()
	if h := findHint(err); h != nil && !rejectedOnly(err) {
		return h.RetryAfter()
	}
	return 0
}

// findHint does what errors.As does, without its allocation, since every failure
// comes here.
func findHint(err error) RetryAfterHinter {
	for err != nil {
		if isRejection(err) {
			return nil
		}
		if h, ok := err.(RetryAfterHinter); ok {
			return h
		}
		switch u := err.(type) { //nolint:errorlint // this is the walk through the wrapped errors
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
