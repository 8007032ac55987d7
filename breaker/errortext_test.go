package breaker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A text is kept completely up to its limit.
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

// The text that WithErrorText returns is used wherever people other than the
// caller can see the error; the caller gets the error itself.
func TestWithErrorText(t *testing.T) {
	secret := errors.New("no access with token 12345")
	var log bytes.Buffer
	b := New("db", Settings{FailMax: 2}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithErrorText(func(err error) string {
		if err == errX {
			panic("bug")
		}
		return fmt.Sprintf("an error of %d bytes", len(err.Error()))
	}))
	for range 2 {
		if err := b.Do(t.Context(), func(context.Context) error { return secret }); err != secret {
			t.Errorf("the caller got %v", err)
		}
	}
	status := b.Status()
	data, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"a rejection": fmt.Sprint(b.Do(t.Context(), nop)), "Explain": status.Explain(), "JSON": string(data), "the log": log.String(),
	} {
		if strings.Contains(text, "12345") || !strings.Contains(text, "an error of 26 bytes") {
			t.Errorf("%s says %s", where, text)
		}
	}
	// Errors that do not come from the program are not passed to it.
	b = New("db", Settings{FailMax: 1}, WithErrorText(func(error) string { return "redacted" }))
	p, _ := b.Allow()
	p.Abandoned()
	if got := b.Status().Opened.Errors[0].Error; got != errAbandoned.Error() {
		t.Errorf("an abandoned call is on record as %q", got)
	}
	// A panic is counted, once, and the failure counts.
	b = New("db", Settings{FailMax: 1}, WithErrorText(func(error) string { panic("bug") }))
	_ = b.Do(t.Context(), broken)
	if s := b.Status(); s.State != Open || s.Panics != 1 || s.Opened.Errors[0].Error != "an error whose text could not be read because of a panic" {
		t.Errorf("after a panic: %s, %d panics, %+v", s.State, s.Panics, s.Opened)
	}
}

type traceKey struct{}

func traced(id string) context.Context {
	return context.WithValue(context.Background(), traceKey{}, id)
}

func traceOf(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	if id == "panic" {
		panic(id)
	}
	return id
}

// A record has the trace of the newest call that failed with each error. A
// panic of the function, and text that is too long or not UTF-8, do no harm.
func TestTraceIDIsInTheRecord(t *testing.T) {
	for id, want := range map[string]string{
		"4bf92f3577b34da6a3ce929d0e0e4736": "4bf92f3577b34da6a3ce929d0e0e4736",
		"":                                 "",
		"panic":                            "",
		strings.Repeat("x", 100):           strings.Repeat("x", 64),
		"a\xffb":                           "ab",
	} {
		b := New("db", Settings{FailMax: 2}, WithTraceID(traceOf))
		for _, ctx := range []context.Context{traced("first"), traced(id)} {
			_ = b.Do(ctx, func(context.Context) error { return errors.New("down") })
		}
		opened := b.Status().Opened
		if opened == nil || len(opened.Errors) != 1 || opened.Errors[0].TraceID != want || opened.Errors[0].Count != 2 {
			t.Errorf("%q: the record is %+v, want the trace %q", id, opened, want)
		}
	}
}

func TestTraceIDOfPermits(t *testing.T) {
	b := New("db", Settings{FailMax: 1}, WithTraceID(traceOf))
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Settle(traced("abc"), Failure, errors.New("down"))
	if got := b.Status().Opened.Errors[0].TraceID; got != "abc" {
		t.Errorf("trace %q, want abc", got)
	}
}

// A function of WithTraceID that panics is counted, and is not called without a
// context.
func TestTraceIDThatPanics(t *testing.T) {
	b := New("x", Settings{FailMax: 1}, WithTraceID(func(context.Context) string { panic("trace") }))
	play(b, "f")
	if got := b.Status(); got.Panics != 1 || got.Transition.Errors[0].TraceID != "" {
		t.Errorf("%d panics, trace %q; want 1 and none", got.Panics, got.Transition.Errors[0].TraceID)
	}
	_ = b.Close(Order{})
	p, _ := b.Allow()
	p.Abandoned() // its context is not known
	if got := b.Status().Panics; got != 1 {
		t.Errorf("%d panics after a call without a context, want 1", got)
	}
}
