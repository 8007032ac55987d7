package breaker

import (
	"context"
	"strings"
)

// maxErrorText is the length in bytes at which the text of an error is cut.
const maxErrorText = 200

// ofErrorText is how caught calls the function that makes the text of errors: its
// own panics are logged as they are, because it would panic again.
const ofErrorText = "the function of WithErrorText"

// errorText returns the text that the breaker keeps of err: for the record, for
// the errors of rejected calls, for the log and for screens. It calls user
// code: no lock is held (I10).
func (c *config) errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			what := "a method of an error"
			if c.redact != nil {
				what = ofErrorText
			}
			c.caught(what, p)
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

const maxTraceID = 64 // twice what W3C's trace context has

// traceOf is the trace that a failed call belongs to, or "".
func (c *config) traceOf(ctx context.Context) string {
	if c.traceID == nil || ctx == nil {
		return ""
	}
	defer func() {
		if p := recover(); p != nil {
			c.caught("the function of WithTraceID", p)
		}
	}()
	id := c.traceID(ctx)
	return strings.ToValidUTF8(id[:min(len(id), maxTraceID)], "")
}
