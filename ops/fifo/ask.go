package fifo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// Do gives any order, including settings, wildcards, expected versions and dry
// runs. The order is checked locally first.
func (c Client) Do(ctx context.Context, o ops.Order) (r ops.Receipt, err error) {
	if err := o.Check(); err != nil {
		return r, fmt.Errorf("fifo: %w", err)
	}
	if !utf8.ValidString(o.ID) {
		return r, fmt.Errorf("fifo: %w: the id %q is not UTF-8, which JSON cannot carry", breaker.ErrOrder, o.ID)
	}
	text, err := json.Marshal(o)
	if err != nil {
		return r, fmt.Errorf("fifo: encode order: %w", err)
	}
	err = c.ours(ctx, question{cmdOrder + " " + string(text), cmdOrder, o.ID, o.Wildcard()}, &r)
	return r, err
}

// Look returns everything about one breaker, or about each key of a set for
// "name/*". With "", it returns less about every breaker.
func (c Client) Look(ctx context.Context, id string) ([]ops.Status, error) {
	var all statuses
	err := c.about(ctx, cmdLook, id, &all)
	return all.Breakers, err
}

// Overview returns all breakers on one page, with sets folded. It contains
// nothing about the process.
func (c Client) Overview(ctx context.Context) (o ops.Overview, err error) {
	err = c.about(ctx, cmdOverview, "", &o)
	return o, err
}

// Explain says why a breaker is in its state, and what happens next.
func (c Client) Explain(ctx context.Context, id string) (e ops.Explanation, err error) {
	err = c.about(ctx, cmdExplain, id, &e)
	return e, err
}

// History returns the past transitions of a breaker.
func (c Client) History(ctx context.Context, id string) (h ops.History, err error) {
	err = c.about(ctx, cmdHistory, id, &h)
	return h, err
}

func (c Client) about(ctx context.Context, cmd, id string, into any) error {
	q, err := ask(cmd, id)
	if err != nil {
		return err
	}
	return c.ours(ctx, q, into)
}

// ask returns the question that consists of a word and an id.
func ask(cmd, id string) (question, error) {
	if strings.Contains(id, "\n") {
		return question{}, fmt.Errorf("fifo: invalid id %q: want no line end, it would begin another command", id)
	}
	return plainQuestion(cmd, id), nil
}

// ours asks a question that only a Server understands.
func (c Client) ours(ctx context.Context, q question, into any) error {
	text, err := c.send(ctx, q)
	var no *ReplyError
	switch {
	case errors.As(err, &no):
		return notDone(no)
	case err != nil:
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("fifo: the answer to %s: %w", q.cmd, err)
	}
	return nil
}

// notDone returns the error for an ERROR reply to one of our own words.
func notDone(no *ReplyError) error {
	var answer refused
	switch {
	case strings.HasPrefix(no.Body, "Invalid command: "):
		return fmt.Errorf("fifo: %w: it speaks PyBreaker's protocol, without release, reason and expiry; nothing was changed", ErrNotKnown)
	case json.Unmarshal([]byte(no.Body), &answer) == nil && answer.Error != nil:
		return answer.Error
	}
	return no
}
