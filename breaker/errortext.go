package breaker

import "strings"

// maxErrorText is the length in bytes at which the text of an error is cut.
const maxErrorText = 200

// errorText returns the text that the breaker keeps of err: for the record, for
// the errors of rejected calls, for the log and for screens. It calls user
// code: no lock is held (I10).
func (c *config) errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("a method of an error", p)
			text = "an error whose text could not be read because of a panic"
		}
	}()
	switch {
	case err == nil:
		text = "the result was judged a failure"
	case c.redact != nil && err != errAbandoned:
		text = c.redact(err)
	default:
		text = err.Error()
	}
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "..." // the cut may fall within a character
	}
	return text
}
