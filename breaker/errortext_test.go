package breaker

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A text is kept whole up to its limit.
func TestErrorTexts(t *testing.T) {
	limit := strings.Repeat("x", maxErrorText)
	for text, want := range map[string]string{"": "", "down": "down", limit: limit, limit + "x": limit + "..."} {
		b := New("db", Settings{FailMax: 1})
		_ = b.Do(t.Context(), func(context.Context) error { return errors.New(text) })
		if got := b.Status().Transition.Errors[0].Error; got != want {
			t.Errorf("%q is on record as %q, want %q", text, got, want)
		}
	}
	b := New("db", Settings{FailMax: 1})
	_ = b.Do(t.Context(), func(context.Context) error { return textPanics{} })
	if got := b.Status().Transition.Errors[0].Error; got != "an error whose text could not be read because of a panic" {
		t.Errorf("on record as %q", got)
	}
}

type textPanics struct{}

func (textPanics) Error() string { panic("text") }
