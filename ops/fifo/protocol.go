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

// The words that are not orders. All except status are Switchgear's own, and
// are answered in JSON.
const (
	cmdStatus  = "status"
	cmdExplain = "explain"
	cmdHistory = "history"
	// These contain a character that no name in PyBreaker's manager can
	// contain, so that the manager cannot run anything by them.
	cmdOrder    = "switchgear-order"
	cmdLook     = "switchgear-status"
	cmdOverview = "switchgear-overview"
)

const (
	// plainActor is the actor of an order that does not name one.
	plainActor = "pipe"
	// noReason is the reason of an override that was ordered in PyBreaker's
	// words, which have no place for a reason.
	noReason = "no reason given"
)

// dispatcher answers lines. It does not deal with files.
type dispatcher struct {
	plane *ops.Plane
	log   *slog.Logger
}

func newDispatcher(p *ops.Plane, log *slog.Logger) *dispatcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &dispatcher{p, log}
}

// answer runs one line and returns the reply, or nil for a blank line. It
// always returns, even if a command panics.
func (d *dispatcher) answer(line string) (reply []byte) {
	line = strip(line)
	if line == "" {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("breaker pipe: a command failed", "panic", p)
			reply = failure("Unexpected error")
		}
	}()
	cmd, rest, _ := strings.Cut(line, " ")
	switch cmd {
	case cmdStatus:
		return d.status(rest)
	case cmdLook:
		return inJSON(d.look(rest))
	case cmdOverview:
		return inJSON(d.plane.Overview(), nil)
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

// plainVerbs are the orders that are words of the pipe.
var plainVerbs = []breaker.Verb{
	breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen,
	breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease,
}

// word returns a verb as it is written in a line of the pipe. PyBreaker writes
// half_open where the other transports write half-open.
func word(v breaker.Verb) string { return strings.ReplaceAll(string(v), "-", "_") }

// plainVerb returns the verb for a word of the pipe.
func plainVerb(text string) (breaker.Verb, bool) {
	for _, v := range plainVerbs {
		if word(v) == text {
			return v, true
		}
	}
	return "", false
}

func (d *dispatcher) status(shown string) []byte {
	var q ops.StatusQuery
	if shown != "" {
		id, err := d.one(shown)
		if err != nil {
			return failure(refusal(shown, err))
		}
		q.IDs = []string{id}
	}
	all, err := d.plane.Status(q)
	if err != nil {
		return failure(refusal(shown, err))
	}
	return success(table(all))
}

// maxLooked is how many breakers are shown at once. The reply is a single
// file, without pages.
const maxLooked = 5000

func (d *dispatcher) look(shown string) (any, error) {
	q := ops.StatusQuery{Full: shown != "", Limit: maxLooked + 1}
	if shown != "" {
		q.IDs = []string{d.real(shown)}
	}
	all, err := d.plane.Status(q)
	if len(all) > maxLooked {
		return nil, &ops.Error{Code: "too-large", Message: fmt.Sprintf("more than %d breakers, which is too many for a pipe: want an id, or the process's socket", maxLooked)}
	}
	return statuses{len(all), all}, err
}

func (d *dispatcher) explain(id string) (any, error) { return d.plane.Explain(d.real(id)) }

func (d *dispatcher) history(id string) (any, error) { return d.plane.History(d.real(id)) }

// plainOrder carries out an order in PyBreaker's words. Such an order is for
// one breaker, and does not say who gave it, why, or for how long.
func (d *dispatcher) plainOrder(verb breaker.Verb, shown string) []byte {
	id, err := d.one(shown)
	if err == nil {
		_, err = d.carryOut(orderOf(id, breaker.Order{Verb: verb, Actor: plainActor}))
	}
	if err != nil {
		return failure(refusal(shown, err))
	}
	return success(changed(shown))
}

// order carries out an order that is written as JSON in a line.
func (d *dispatcher) order(text string) []byte {
	var o ops.Order
	if err := ops.ParseOrder([]byte(text), &o); err != nil {
		return inJSON(nil, err)
	}
	o.ID = d.real(o.ID)
	return inJSON(d.carryOut(o))
}

func (d *dispatcher) carryOut(o ops.Order) (ops.Receipt, error) {
	r, err := d.plane.Do(o, ops.Peer{Transport: "pipe"})
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

// refusal puts an error in PyBreaker's words, as far as they go.
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

// one returns the id of the breaker that the table shows as shown. PyBreaker's
// words have no wildcards.
func (d *dispatcher) one(shown string) (string, error) {
	if o := (ops.Order{ID: shown}); o.Wildcard() {
		return "", &breaker.UnknownError{ID: shown}
	}
	e, err := d.plane.Explain(d.real(shown))
	return e.ID, err
}

// real returns the id of the breaker that the table shows as shown. The two
// differ only for a key with control characters, which cannot be written in a
// line.
func (d *dispatcher) real(shown string) string {
	if !strings.Contains(shown, `\`) {
		return shown
	}
	if _, err := d.plane.Explain(shown); err == nil {
		return shown
	}
	all, _ := d.plane.Status(ops.StatusQuery{}) // the zero query returns no error
	for i := range all {
		if id := all[i].ID; printable(id) == shown {
			return id
		}
	}
	return shown
}

func (d *dispatcher) tooLong(head []byte) []byte {
	d.log.Warn("breaker pipe: line refused", "limit", maxLine)
	return failure(fmt.Sprintf("Line too long: want at most %d bytes, this one begins with %.32q", maxLine, head))
}

// strip removes white space from both ends of a line: what Python 3's
// str.strip removes, which is Unicode's white space and four ASCII separators.
// A byte that is not valid UTF-8 is not white space.
func strip(line string) string {
	return strings.TrimFunc(line, func(r rune) bool {
		return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f'
	})
}

func success(text string) []byte { return []byte(flagSuccess + "\n" + text + "\n") }
func failure(text string) []byte { return []byte(flagError + "\n" + text + "\n") }

// upper starts an error's text with a capital letter, as the texts of the
// protocol do, and keeps it on one line.
func upper(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}
