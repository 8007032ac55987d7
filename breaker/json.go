package breaker

import (
	"encoding/json"
	"fmt"
	"time"
)

// In JSON every duration is a string such as "1m30s". For this, a struct embeds
// the type without its methods and declares the duration fields again. All
// other fields are written and read by their tags.

// jsonDuration is a time.Duration that is a string in JSON.
type jsonDuration time.Duration

func (d jsonDuration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *jsonDuration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("breaker: got the duration %q, want a value such as 30s or 1h30m", text)
	}
	*d = jsonDuration(v)
	return nil
}

type (
	plainError      ErrorSample
	plainPeers      Peers
	plainTransition Transition
	plainStatus     Status
	plainAdvice     Advice
)

type errorJSON struct {
	plainError
	Latency jsonDuration `json:"latency,omitempty"`
}

// MarshalJSON writes the latency as a string such as "1.5s".
func (e ErrorSample) MarshalJSON() ([]byte, error) {
	return json.Marshal(errorJSON{plainError(e), jsonDuration(e.Latency)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *ErrorSample) UnmarshalJSON(data []byte) error {
	x := errorJSON{plainError(*e), jsonDuration(e.Latency)}
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	*e = ErrorSample(x.plainError)
	e.Latency = time.Duration(x.Latency)
	return nil
}

type peersJSON struct {
	plainPeers
	Span jsonDuration `json:"span"`
}

// MarshalJSON writes the span as a string such as "4s".
func (p Peers) MarshalJSON() ([]byte, error) {
	return json.Marshal(peersJSON{plainPeers(p), jsonDuration(p.Span)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Peers) UnmarshalJSON(data []byte) error {
	x := peersJSON{plainPeers(*p), jsonDuration(p.Span)}
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	*p = Peers(x.plainPeers)
	p.Span = time.Duration(x.Span)
	return nil
}

type transitionJSON struct {
	plainTransition
	Summary   string       `json:"summary,omitempty"` // only written: it follows from the other fields
	Window    jsonDuration `json:"window,omitempty"`
	OpenFor   jsonDuration `json:"open_for,omitempty"`
	HintedFor jsonDuration `json:"hinted_for,omitempty"`
	For       jsonDuration `json:"for,omitempty"`
}

func (x *transitionJSON) from(t *Transition) {
	x.plainTransition = plainTransition(*t)
	x.Window, x.OpenFor = jsonDuration(t.Window), jsonDuration(t.OpenFor)
	x.HintedFor, x.For = jsonDuration(t.HintedFor), jsonDuration(t.For)
}

// MarshalJSON writes durations as strings such as "1m30s", and adds the summary.
func (t Transition) MarshalJSON() ([]byte, error) {
	var x transitionJSON
	x.from(&t)
	x.Summary = t.Summary()
	return json.Marshal(&x)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Transition) UnmarshalJSON(data []byte) error {
	var x transitionJSON
	x.from(t)
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	*t = Transition(x.plainTransition)
	t.Window, t.OpenFor = time.Duration(x.Window), time.Duration(x.OpenFor)
	t.HintedFor, t.For = time.Duration(x.HintedFor), time.Duration(x.For)
	return nil
}

type statusJSON struct {
	plainStatus
	UntilHalfOpen  jsonDuration `json:"until_half_open"`
	ProbeOutFor    jsonDuration `json:"probe_out_for,omitempty"`
	UntilNextProbe jsonDuration `json:"until_next_probe,omitempty"`
	OpenFor        jsonDuration `json:"open_for,omitempty"`
}

func (x *statusJSON) from(s *Status) {
	x.plainStatus = plainStatus(*s)
	x.UntilHalfOpen, x.ProbeOutFor = jsonDuration(s.UntilHalfOpen), jsonDuration(s.ProbeOutFor)
	x.UntilNextProbe, x.OpenFor = jsonDuration(s.UntilNextProbe), jsonDuration(s.OpenFor)
}

// MarshalJSON writes durations as strings such as "1m30s".
func (s Status) MarshalJSON() ([]byte, error) {
	var x statusJSON
	x.from(&s)
	return json.Marshal(&x)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Status) UnmarshalJSON(data []byte) error {
	var x statusJSON
	x.from(s)
	if err := json.Unmarshal(data, &x); err != nil {
		return err
	}
	*s = Status(x.plainStatus)
	s.UntilHalfOpen, s.ProbeOutFor = time.Duration(x.UntilHalfOpen), time.Duration(x.ProbeOutFor)
	s.UntilNextProbe, s.OpenFor = time.Duration(x.UntilNextProbe), time.Duration(x.OpenFor)
	return nil
}

// MarshalJSON writes After as a string such as "1m30s".
func (a Advice) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainAdvice
		After jsonDuration `json:"after,omitempty"`
	}{plainAdvice(a), jsonDuration(a.After)})
}
