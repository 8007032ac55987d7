package fifo

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	cmdStatus = "status"
	// cmdExtended has a character that no name in PyBreaker's manager can
	// have, so that the manager finds nothing to run by it.
	cmdExtended = "switchgear-order"
	// plainActor is who gave an order that does not say.
	plainActor = "pipe"
)

// desk answers lines. It knows no file.
type desk struct {
	board board
	log   *slog.Logger
}

// board is what a desk needs of a breaker.Manager.
type board interface {
	Status() []breaker.Status
	StatusOf(id string) (breaker.Status, error)
	Apply(id string, o breaker.Order) (breaker.Receipt, error)
}

// answer runs one line and returns the reply, or nil for a blank line, which
// has none. Whatever the line is, and whatever breaks, it returns.
func (d *desk) answer(line string) (reply []byte) {
	line = strip(line)
	if line == "" {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			reply = d.broken(p)
		}
	}()
	cmd, rest, _ := strings.Cut(line, " ")
	switch cmd {
	case cmdStatus:
		return d.status(rest)
	case cmdExtended:
		return d.extended(rest)
	}
	if verb, ok := orderVerb(cmd); ok {
		return d.order(rest, breaker.Order{Verb: verb, Reason: breaker.Reason{Actor: plainActor}})
	}
	return failure("Invalid command: " + line)
}

// orderVerb is the order that a word stands for.
func orderVerb(word string) (breaker.Verb, bool) {
	switch v := breaker.Verb(word); v {
	case breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen,
		breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease:
		return v, true
	}
	return "", false
}

func (d *desk) status(id string) []byte {
	if id == "" {
		return success(table(d.board.Status()))
	}
	st, err := d.board.StatusOf(d.real(id))
	if err != nil {
		return d.refused(id, err)
	}
	return success(table([]breaker.Status{st}))
}

func (d *desk) order(id string, o breaker.Order) []byte {
	r, err := d.apply(d.real(id), o)
	if err != nil {
		return d.refused(id, err)
	}
	d.log.Info("breaker order", "id", r.ID, "order", o.Verb, "before", r.Before, "after", r.After,
		"actor", o.Reason.Actor, "reason", o.Reason.Text, "for", o.Reason.For)
	return success("Changed `" + id + "` state")
}

// listenerTime is how long an order's listeners may run before its reply.
const listenerTime = time.Second

// errBroken is a panic of the board. There is none in a breaker.Manager, which
// recovers those of the program's listeners.
type errBroken struct{ value any }

func (e errBroken) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// apply gives the order on a goroutine of its own, because that is where the
// program's listeners are told: one that hangs, or ends its goroutine, does not
// do so to the pipe. The order itself waits for nothing (I5), so one that has
// not returned in time is carried out, and only its listeners are late.
func (d *desk) apply(id string, o breaker.Order) (breaker.Receipt, error) {
	done := make(chan applied, 1)
	go func() {
		got := applied{r: breaker.Receipt{ID: id}} // in case a listener ends this goroutine
		defer func() {
			if p := recover(); p != nil {
				got.err = errBroken{p}
			}
			done <- got
		}()
		got.r, got.err = d.board.Apply(id, o)
	}()
	timer := time.NewTimer(listenerTime)
	defer timer.Stop()
	select {
	case got := <-done:
		return got.r, got.err
	case <-timer.C:
		d.log.Warn("breaker pipe: a listener has not returned from an order", "id", id, "order", o.Verb, "after", listenerTime)
		return breaker.Receipt{ID: id}, nil
	}
}

type applied struct {
	r   breaker.Receipt
	err error
}

// broken is the reply when something panicked.
func (d *desk) broken(p any) []byte {
	d.log.Error("breaker pipe: a command failed", "panic", p)
	return failure("Unexpected error")
}

func (d *desk) extended(rest string) []byte {
	id, o, err := decodeOrder(rest)
	if err != nil {
		return d.refused("", err)
	}
	return d.order(id, o)
}

func (d *desk) refused(id string, err error) []byte {
	if p := (errBroken{}); errors.As(err, &p) {
		return d.broken(p.value)
	}
	d.log.Warn("breaker order refused", "id", id, "error", err)
	switch {
	case errors.Is(err, breaker.ErrUnknown):
		return failure("Invalid identifier: " + id)
	case errors.Is(err, breaker.ErrOrder):
		return failure(upper(err.Error()))
	default:
		return failure(upper(fmt.Errorf("%w: %w", breaker.ErrOrder, err).Error()))
	}
}

// real is the id of the breaker that the table shows as shown. They differ only
// for a key that has control characters, which no line could name.
func (d *desk) real(shown string) string {
	if !strings.Contains(shown, `\`) {
		return shown
	}
	if _, err := d.board.StatusOf(shown); err == nil {
		return shown
	}
	for _, st := range d.board.Status() {
		if printable(st.ID) == shown {
			return st.ID
		}
	}
	return shown
}

func (d *desk) tooLong(head []byte) []byte {
	d.log.Warn("breaker pipe: line refused", "limit", maxLine)
	return failure(fmt.Sprintf("Line too long: want at most %d bytes, this one begins with %.32q", maxLine, head))
}

// strip takes the blanks off both ends of a line: those of Python 3's
// str.strip, which are Unicode's and four separators of ASCII. A byte that is
// no UTF-8 is no blank.
func strip(line string) string {
	return strings.TrimFunc(line, func(r rune) bool {
		return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f'
	})
}

func success(text string) []byte { return []byte(flagSuccess + "\n" + text + "\n") }
func failure(text string) []byte { return []byte(flagError + "\n" + text + "\n") }

// upper begins an error's text as the protocol's own texts begin, and keeps it
// on one line.
func upper(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}
