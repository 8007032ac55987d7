package fifo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// DefaultPatience lets a command line program report a problem within two
// seconds of its start.
const DefaultPatience = 1500 * time.Millisecond

// Client sends queries and orders through the pipe of another process, served by
// a Server or by PyBreaker. A Client is a value without state: it may be copied,
// and used by many goroutines and processes at once; they take turns.
//
// The methods that PyBreaker's manager understands return the text that
// circuit_breaker_fifo prints, and a *ReplyError when the other side refused.
// Do, Look, Explain and History need a Server on the other side; their refusals
// are an *ops.Error. Other errors match ErrNoPipe, ErrNoReader, ErrNoAnswer,
// ErrUnsafe or ErrNotKnown.
//
// Before an order is sent, the other side must answer a word that it
// cannot know, so that an order is never left in the pipe of a process that is
// stuck, to be carried out when it is no longer wanted.
type Client struct {
	// Input and Output are the paths of the process's pipe and reply; {pid} in
	// them stands for PID. Defaults DefaultInput and DefaultOutput.
	Input, Output string
	// PID is the id of the process. It may be 0 if no path contains {pid}; errors
	// say more about the process if it is set.
	PID int
	// Patience is how long the reply may stay unchanged before the process is
	// considered stuck; eight times as long for queries over many breakers. No
	// wait for an answer is longer than ten times that. Default
	// DefaultPatience. PyBreaker's manager looks at its pipe every sleep_delay,
	// so Patience must be well above that.
	Patience time.Duration
}

// ReplyError is an ERROR reply.
type ReplyError struct {
	Body string // what the other side says
}

// Error returns what the other side says.
func (e *ReplyError) Error() string { return e.Body }

// Is reports whether target is breaker.ErrUnknown and the other side said that
// it knows no such id.
func (e *ReplyError) Is(target error) bool {
	return target == breaker.ErrUnknown && strings.HasPrefix(e.Body, "Invalid identifier: ")
}

// Status returns the table of all breakers, or of one breaker if id is not "".
func (c Client) Status(ctx context.Context, id string) (string, error) {
	return c.plain(ctx, cmdStatus, id)
}

// Open opens the breaker, as if it had tripped.
func (c Client) Open(ctx context.Context, id string, o breaker.Order) (string, error) {
	return c.order(ctx, breaker.VerbOpen, id, o)
}

// Close closes the breaker and forgets its evidence.
func (c Client) Close(ctx context.Context, id string, o breaker.Order) (string, error) {
	return c.order(ctx, breaker.VerbClose, id, o)
}

// HalfOpen makes the breaker's next call a probe.
func (c Client) HalfOpen(ctx context.Context, id string, o breaker.Order) (string, error) {
	return c.order(ctx, breaker.VerbHalfOpen, id, o)
}

// ForceOpen makes the breaker reject every call until it is released, or for
// o.For.
func (c Client) ForceOpen(ctx context.Context, id string, o breaker.Order) (string, error) {
	return c.order(ctx, breaker.VerbForceOpen, id, o)
}

// ForceClosed makes the breaker admit every call until it is released, or for
// o.For.
func (c Client) ForceClosed(ctx context.Context, id string, o breaker.Order) (string, error) {
	return c.order(ctx, breaker.VerbForceClosed, id, o)
}

// Release ends what ForceOpen or ForceClosed began. PyBreaker has no such order;
// there it returns ErrNotKnown.
func (c Client) Release(ctx context.Context, id string, o breaker.Order) (string, error) {
	return c.order(ctx, breaker.VerbRelease, id, o)
}

func (c Client) order(ctx context.Context, v breaker.Verb, id string, o breaker.Order) (string, error) {
	o.Verb = v
	return c.Send(ctx, id, o)
}

// Send sends an order for one breaker. An order with only a verb is sent in
// PyBreaker's words, which do not say who gave it. Any other order, and release,
// is sent as Do sends it, with the actor (by default the user who runs this
// process) and the id of this process. An override without o.For has no end. For
// a dry run, whose result is its receipt, use Do.
func (c Client) Send(ctx context.Context, id string, o breaker.Order) (string, error) {
	switch _, ok := plainVerb(word(o.Verb)); {
	case !ok:
		return "", fmt.Errorf("fifo: %w: unknown verb %q", breaker.ErrOrder, o.Verb)
	case o.DryRun:
		return "", fmt.Errorf("fifo: %w: a dry run sent without a receipt, want Do", breaker.ErrOrder)
	case o == breaker.Order{Verb: o.Verb} && o.Verb != breaker.VerbRelease:
		return c.plain(ctx, word(o.Verb), id)
	}
	o.Actor = fmt.Sprintf("%s (pid %d)", cmp.Or(o.Actor, userName()), os.Getpid())
	_, err := c.Do(ctx, orderOf(id, o))
	var refused *ops.Error
	switch {
	case errors.As(err, &refused):
		return "", &ReplyError{refusal(id, refused)}
	case err != nil:
		return "", err
	}
	return changed(id), nil
}

func (c Client) plain(ctx context.Context, cmd, id string) (string, error) {
	q, err := ask(cmd, id)
	if err != nil {
		return "", err
	}
	return c.send(ctx, q)
}

func (c Client) send(ctx context.Context, q question) (string, error) {
	if len(q.line) > maxLine {
		return "", fmt.Errorf("fifo: the order has %d bytes, want at most %d", len(q.line), maxLine)
	}
	c.Input, c.Output = orDefault(c.Input, DefaultInput), orDefault(c.Output, DefaultOutput)
	if c.PID == 0 && strings.Contains(c.Input+c.Output, "{pid}") {
		return "", errors.New("fifo: the paths have {pid} in them, want the id of the process")
	}
	c.Input, c.Output = expand(c.Input, c.PID), expand(c.Output, c.PID)
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	return c.ask(ctx, q)
}

// userName returns the name of the user who runs this process, or the number.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}
