package fifo

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// The words that are no orders. Those of ours alone are answered in JSON.
const (
	cmdStatus  = "status"
	cmdExplain = "explain"
	cmdHistory = "history"
	// These have a character that no name in PyBreaker's manager can have, so
	// that the manager finds nothing to run by them.
	cmdOrder    = "switchgear-order"
	cmdLook     = "switchgear-status"
	cmdOverview = "switchgear-overview"
)

const (
	// plainActor is who gave an order that does not say.
	plainActor = "pipe"
	// noReason stands where PyBreaker's words have no place for a reason, and
	// an override must have one.
	noReason = "no reason given"
)

// desk answers lines. It knows no file.
type desk struct {
	m   *breaker.Manager
	do  func(ops.Order, ops.Peer) (ops.Receipt, error)
	log *slog.Logger
}

func newDesk(m *breaker.Manager, c Config) *desk {
	d := &desk{m, c.Do, c.Logger}
	if d.do == nil {
		d.do = func(o ops.Order, _ ops.Peer) (ops.Receipt, error) { return ops.Do(m, o) }
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d
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
	case cmdLook:
		return inJSON(d.look(rest))
	case cmdOverview:
		return inJSON(ops.OverviewOf(d.m), nil)
	case cmdExplain:
		return inJSON(d.explain(rest))
	case cmdHistory:
		return inJSON(d.history(rest))
	case cmdOrder:
		return d.order(rest)
	}
	if verb, ok := plainVerb(cmd); ok {
		return d.plainOrder(verb, rest)
	}
	return failure("Invalid command: " + line)
}

// plainVerb is the order that a word stands for.
func plainVerb(word string) (breaker.Verb, bool) {
	switch v := breaker.Verb(word); v {
	case breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen,
		breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease:
		return v, true
	}
	return "", false
}

func (d *desk) status(id string) []byte {
	if id == "" {
		return success(table(d.m.Status()))
	}
	b, err := d.m.Lookup(d.real(id))
	if err != nil {
		return d.refused(id, err)
	}
	return success(table([]breaker.Status{b.Status()}))
}

// maxLooked is how many breakers are told of at once. The reply is one file,
// which has no pages.
const maxLooked = 5000

func (d *desk) look(id string) (any, error) {
	ask := ops.QueryFor(d.real(id))
	ask.Limit = maxLooked + 1
	all, err := ops.StatusOf(d.m, ask)
	if len(all) > maxLooked {
		return nil, &ops.Error{Code: "too-large", Message: fmt.Sprintf("more than %d breakers: a pipe does not tell of so many at once, want an id, or the process's socket", maxLooked)}
	}
	return statuses{len(all), all}, err
}

func (d *desk) explain(id string) (any, error) {
	return ops.Explain(d.m, d.real(id))
}

func (d *desk) history(id string) (any, error) {
	return ops.HistoryOf(d.m, d.real(id))
}

// plainOrder carries out an order in PyBreaker's words, which are for one
// breaker, and tell neither who nor why nor until when.
func (d *desk) plainOrder(verb breaker.Verb, id string) []byte {
	b, err := d.m.Lookup(d.real(id))
	if err == nil {
		_, err = d.carryOut(orderOf(verb, b.ID(), breaker.Reason{Actor: plainActor}))
	}
	if err != nil && err != error(errLate) {
		return d.refused(id, err)
	}
	return success(changed(id))
}

// order carries out the order that a line has in JSON.
func (d *desk) order(text string) []byte {
	o, err := ops.ParseOrder([]byte(text))
	if err != nil {
		return inJSON(nil, err)
	}
	o.ID = d.real(o.ID)
	r, err := d.carryOut(o)
	if p := (errBroken{}); errors.As(err, &p) {
		return d.broken(p.value)
	}
	return inJSON(r, err)
}

func (d *desk) carryOut(o ops.Order) (ops.Receipt, error) {
	r, err := d.give(o)
	who := []any{"id", o.ID, "order", o.Verb}
	switch {
	case err != nil:
		d.log.Warn("breaker order refused", append(who, "error", err)...)
		return r, err
	case o.DryRun:
		return r, nil
	case !o.Wildcard() && len(r.Results) == 1:
		who = append(who, "before", r.Results[0].Before, "after", r.Results[0].After)
	default:
		who = append(who, "matched", r.Matched, "changed", r.Touched, "failed", r.Failed)
	}
	d.log.Info("breaker order", append(who, "actor", o.Actor, "reason", o.Reason, "for", time.Duration(o.For))...)
	return r, nil
}

// An order may take so long until its reply, and one for many breakers longer.
// ops.Do keeps well within it, whatever the program's listeners do; a Config.Do
// of the program's own may not.
const (
	orderTime     = time.Second
	orderTimeMany = 10 * time.Second
)

// errLate is for an order that was given and has not returned.
var errLate = &ops.Error{
	Code:    "late",
	Message: "the order was given, and its receipt is late: see status",
}

// errBroken is a panic of a Config.Do.
type errBroken struct{ value any }

func (e errBroken) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// give gives the order on a goroutine of its own: a Config.Do that hangs, panics
// or ends its goroutine does not do so to the pipe.
func (d *desk) give(o ops.Order) (ops.Receipt, error) {
	done := make(chan given, 1)
	go func() {
		got := given{err: errLate} // in case it ends this goroutine
		defer func() {
			if p := recover(); p != nil {
				got.err = errBroken{p}
			}
			done <- got
		}()
		got.r, got.err = d.do(o, ops.Peer{Transport: "pipe"})
	}()
	limit := orderTime
	if o.Wildcard() {
		limit = orderTimeMany
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case got := <-done:
		return got.r, got.err
	case <-timer.C:
		return ops.Receipt{}, errLate
	}
}

type given struct {
	r   ops.Receipt
	err error
}

// broken is the reply when something panicked.
func (d *desk) broken(p any) []byte {
	d.log.Error("breaker pipe: a command failed", "panic", p)
	return failure("Unexpected error")
}

// refused is the reply to a plain word that could not be obeyed.
func (d *desk) refused(id string, err error) []byte {
	if p := (errBroken{}); errors.As(err, &p) {
		return d.broken(p.value)
	}
	return failure(refusal(id, err))
}

// refusal is an error in PyBreaker's words, as far as they go.
func refusal(id string, err error) string {
	switch {
	case errors.Is(err, breaker.ErrUnknown):
		return "Invalid identifier: " + id
	case errors.Is(err, breaker.ErrOrder):
		return upper(err.Error())
	default:
		return upper(fmt.Errorf("%w: %w", breaker.ErrOrder, err).Error())
	}
}

func changed(id string) string { return "Changed `" + id + "` state" }

// real is the id of the breaker that the table shows as shown. They differ only
// for a key that has control characters, which no line could name.
func (d *desk) real(shown string) string {
	if !strings.Contains(shown, `\`) {
		return shown
	}
	if _, err := d.m.Lookup(shown); err == nil {
		return shown
	}
	for _, b := range d.m.Breakers() {
		if id := b.ID(); printable(id) == shown {
			return id
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
