package fifo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

// wireOrder is what follows cmdExtended on its line.
type wireOrder struct {
	Verb   breaker.Verb `json:"verb"`
	ID     string       `json:"id"`
	Reason string       `json:"reason,omitempty"`
	For    string       `json:"for,omitempty"` // a time.Duration; "": until it is released
	Actor  string       `json:"actor,omitempty"`
	PID    int          `json:"pid,omitempty"` // the process that sends it
}

// encodeOrder is the line for an order, without its end.
func encodeOrder(verb breaker.Verb, id string, r breaker.Reason, pid int) (string, error) {
	if !utf8.ValidString(id) || !utf8.ValidString(r.Text) || !utf8.ValidString(r.Actor) {
		return "", fmt.Errorf("%w: want an id, a reason and an actor in UTF-8", breaker.ErrOrder)
	}
	w := wireOrder{Verb: verb, ID: id, Reason: r.Text, Actor: r.Actor, PID: pid}
	if r.For != 0 {
		w.For = r.For.String()
	}
	text, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("encode order: %w", err)
	}
	return cmdExtended + " " + string(text), nil
}

// decodeOrder reads what encodeOrder writes after the word. Its errors match
// breaker.ErrOrder. A field that it does not know is an error, because whoever
// sent it counts on what it does.
func decodeOrder(text string) (id string, o breaker.Order, err error) {
	var w wireOrder
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return "", o, fmt.Errorf("%w: want a JSON object after %s: %w", breaker.ErrOrder, cmdExtended, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", o, fmt.Errorf("%w: want nothing after the JSON object", breaker.ErrOrder)
	}
	verb, ok := orderVerb(string(w.Verb))
	if !ok {
		return "", o, fmt.Errorf("%w: unknown verb %q, want open, close, half_open, force_open, force_closed or release", breaker.ErrOrder, w.Verb)
	}
	r := breaker.Reason{Actor: w.Actor, Text: w.Reason}
	if r.Actor == "" {
		r.Actor = plainActor
	}
	if w.PID != 0 {
		r.Actor = fmt.Sprintf("%s (pid %d)", r.Actor, w.PID)
	}
	if w.For != "" {
		if r.For, err = time.ParseDuration(w.For); err != nil || r.For <= 0 {
			return "", o, fmt.Errorf("%w: for is %q, want a time such as 30m", breaker.ErrOrder, w.For)
		}
	}
	return w.ID, breaker.Order{Verb: verb, Reason: r}, nil
}
