package breaker

import "strings"

const maxErrorText = 200

// errorText is what the breaker keeps of err: for the record, for the errors of
// rejected calls, for the log and for screens.
func (c *config) errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("error", p)
			text = "an error whose text panics"
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
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "..." // the cut may be within a character
	}
	return text
}
