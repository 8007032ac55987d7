package breaker

import (
	"context"
	"log/slog"
)

// Option gives a breaker or a set what cannot stand in a file: code. Options
// never change; listeners, exclusions and what is ignored have methods too.
type Option func(*config)

// options are what only code can say.
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

// noOptions is those of every breaker that is given none.
var noOptions options

type customRule struct {
	name string
	open func(Counts) bool
}

// WithListener adds listeners; AddListener does so later.
func WithListener(ls ...Listener) Option {
	return func(c *config) {
		for _, l := range ls {
			c.setListener(&l, true)
		}
	}
}

// WithExcluded excludes errors: the dependency answered, so the call counts as
// a success, and its error goes to the caller as it is. Exclude does so later.
func WithExcluded(ms ...Matcher) Option {
	return func(c *config) { c.addMatchers(ms, nil) }
}

// WithIgnored ignores errors: the call is no evidence either way, such as one
// that never left the process. Ignore does so later. An error that is excluded
// as well is a success.
func WithIgnored(ms ...Matcher) Option {
	return func(c *config) { c.addMatchers(nil, ms) }
}

// WithClassifier replaces the classification of errors, matchers and cancelled
// contexts included; DefaultClassifier is what it replaces, and can be called
// for the rest. f is called for every error that is not nil, never with nil,
// with the call's context (context.Background for Allow and Done), on many
// goroutines at once, outside every lock. Where it panics, the call counts as a
// failure.
func WithClassifier(f func(ctx context.Context, err error) Outcome) Option {
	return func(c *config) { c.classifier = f }
}

// WithErrorText replaces the text that is kept of an error, which is the
// error's own by default. What is kept is seen by others than the caller: it
// stands in the record and in the errors of calls that are rejected later, in
// the log, and on the screens of operators. f is called for every failure that
// may be kept, on many goroutines at once, outside every lock. Where it panics,
// the text says so.
func WithErrorText(f func(error) string) Option {
	return func(c *config) { c.redact = f }
}

// WithTraceID keeps, with each error of a record, the trace that the failed call
// belongs to, so that an operator finds it in the tracing system. f is called
// with the call's context for every failure that may be kept, on many goroutines
// at once, outside every lock. An empty result, and a call without a context,
// leave no trace.
func WithTraceID(f func(context.Context) string) Option {
	return func(c *config) { c.traceID = f }
}

// WithLinks says who is responsible for the dependency and where to read more.
// It is shown in Status and on operators' screens.
func WithLinks(l Links) Option {
	return func(c *config) { c.links = &l }
}

// Links are what an operator needs to know of a dependency. Each may be "". The
// screens open Runbook, Dashboard and Traces only if they are http or https URLs.
type Links struct {
	Owner     string `json:"owner,omitempty"`     // a team, a person or a channel
	Runbook   string `json:"runbook,omitempty"`   // what to do when it fails
	Dashboard string `json:"dashboard,omitempty"` // how it is doing
	Traces    string `json:"traces,omitempty"`    // where a trace is found; "{trace_id}" in it stands for the trace
}

// WithOpenError replaces the error of rejected calls. f runs at each of them,
// on the caller's goroutine, outside every lock; what it returns should wrap
// the OpenError if callers are to find ErrOpen in it, and so that a breaker
// around this one can tell a rejection from a failure. Where it panics or
// returns nil, the caller gets the OpenError itself.
func WithOpenError(f func(*OpenError) error) Option {
	return func(c *config) { c.openError = f }
}

// WithErrorOnTrip makes the call that trips the breaker return an error that
// matches ErrOpen as well as its own. Without it that call returns its own
// error alone, because it ran.
func WithErrorOnTrip() Option {
	return func(c *config) { c.errorOnTrip = true }
}

// WithLogger logs each transition as one line: Warn for one that opens, Info
// for the others. Calls are not logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithRule adds a rule of the program's own. After each failure and each slow
// call of a closed breaker, open is given what the window holds, that call
// included; true opens it. It must be a pure function of its argument; it runs
// on many goroutines at once, outside every lock. name stands in the record.
func WithRule(name string, open func(Counts) bool) Option {
	return func(c *config) { c.rules = append(c.rules, customRule{name, open}) }
}

// WithoutHistory keeps no record of past transitions but the newest, for
// programs with very many breakers that trip often.
func WithoutHistory() Option {
	return func(c *config) { c.noHistory = true }
}

// WithBypassAllowed lets calls whose context is marked by WithBypass or
// WithBypassProbe pass while the breaker rejects. Without it such marks mean
// nothing. It costs each call some 10 ns.
func WithBypassAllowed() Option {
	return func(c *config) { c.bypass = true }
}
