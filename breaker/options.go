package breaker

import (
	"context"
	"log/slog"
)

// Option configures a breaker, set or manager with code, which cannot be part
// of Settings. Options cannot be changed later. For listeners and for excluded
// and ignored errors there are methods as well.
type Option func(*config)

// options is what Options can set.
type options struct {
	classifier  func(context.Context, error) Outcome // nil: matchers, then DefaultClassifier
	openError   func(*OpenError) error
	redact      func(error) string
	traceID     func(context.Context) string
	links       *Links
	errorOnTrip bool
	noHistory   bool
	bypass      bool
	logger      *slog.Logger
	rules       []customRule
}

// noOptions is shared by all breakers that are created without options.
var noOptions options

type customRule struct {
	name string
	open func(Counts) bool
}

// WithListener adds listeners. AddListener adds more later.
func WithListener(ls ...Listener) Option {
	return func(c *config) {
		for _, l := range ls {
			c.setListener(&l, true)
		}
	}
}

// WithExcluded excludes errors that are normal answers, such as "not found":
// the call counts as a success, and its caller still receives the error.
// Exclude adds more later.
func WithExcluded(ms ...Matcher) Option {
	return func(c *config) { c.addMatchers(ms, nil) }
}

// WithIgnored ignores errors that say nothing about the dependency, such as one
// that occurred before the request was sent: the call is not evidence. An error
// that is both excluded and ignored is a success. Ignore adds more later.
func WithIgnored(ms ...Matcher) Option {
	return func(c *config) { c.addMatchers(nil, ms) }
}

// WithClassifier replaces the classification of errors, including matchers and
// the handling of cancelled contexts. f may call DefaultClassifier for errors
// that it does not know. It receives every non-nil error, with the context of
// the call (context.Background for Allow and Done). It is called by many
// goroutines at once, with no lock held. If it panics, the call counts as a
// failure.
func WithClassifier(f func(ctx context.Context, err error) Outcome) Option {
	return func(c *config) { c.classifier = f }
}

// WithErrorText replaces the text that is kept of an error, which by default is
// that of its Error method. Other people than the caller see this text: it
// appears in records, in the errors of calls that are rejected later, in the
// log, and on operators' screens. f is called for every failure that may be
// recorded, by many goroutines at once, with no lock held. If it panics, the
// text says so.
func WithErrorText(f func(error) string) Option {
	return func(c *config) { c.redact = f }
}

// WithTraceID keeps, with each recorded error, the id of the trace that the
// failed call belongs to, so that an operator finds it in the tracing system. f
// is called with the call's context for every failure that may be recorded, on
// many goroutines at once, with no lock held. An empty result leaves no trace,
// and neither does a call without a context.
func WithTraceID(f func(context.Context) string) Option {
	return func(c *config) { c.traceID = f }
}

// WithLinks says who owns the dependency and where to read more about it. Status
// and the operators' screens show it.
func WithLinks(l Links) Option {
	return func(c *config) { c.links = &l }
}

// Links are what an operator needs to know about a dependency. Each may be "".
// The screens open Runbook, Dashboard and Traces only if they are http or https
// URLs.
type Links struct {
	Owner     string `json:"owner,omitempty"`     // a team, a person or a channel
	Runbook   string `json:"runbook,omitempty"`   // what to do when it fails
	Dashboard string `json:"dashboard,omitempty"` // its graphs
	Traces    string `json:"traces,omitempty"`    // where to find a trace; "{trace_id}" stands for its id
}

// WithOpenError replaces the error of rejected calls. f is called for each of
// them, on the caller's goroutine, with no lock held. Its result should wrap
// the OpenError, so that errors.Is finds ErrOpen in it, and so that an outer
// breaker can distinguish a rejection from a failure. If f panics or returns
// nil, the caller receives the OpenError itself.
func WithOpenError(f func(*OpenError) error) Option {
	return func(c *config) { c.openError = f }
}

// WithErrorOnTrip makes the call that trips the breaker return an error that
// matches ErrOpen as well as its own error. Without it that call returns only
// its own error, because it did run.
func WithErrorOnTrip() Option {
	return func(c *config) { c.errorOnTrip = true }
}

// WithLogger logs each transition as one line, at level Warn if the breaker
// opens, else at level Info. Calls are not logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithRule adds a rule of the program's own. After each failure and each slow
// call of a closed breaker, open receives the contents of the window, including
// that call. If it returns true, the breaker opens. open must be a pure
// function of its argument. It is called by many goroutines at once, with no
// lock held; if it panics, the breaker does not open. name appears in the
// record.
func WithRule(name string, open func(Counts) bool) Option {
	return func(c *config) { c.rules = append(c.rules, customRule{name, open}) }
}

// WithoutHistory keeps no past transitions except the newest one, for programs
// with very many breakers that trip often.
func WithoutHistory() Option {
	return func(c *config) { c.noHistory = true }
}

// WithBypassAllowed lets calls whose context is marked by WithBypass or
// WithBypassProbe run while the breaker rejects others. Without it such marks
// have no effect. It adds about 10 ns to each call.
func WithBypassAllowed() Option {
	return func(c *config) { c.bypass = true }
}
