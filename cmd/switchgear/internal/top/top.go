// Package top is the live screen of breakers: sorted, searched, explained, and
// with keys for orders.
package top

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// Ref is a breaker, or with "name/*" a set, of one process.
type Ref struct{ Process, ID string }

// Look is what there was to see at one moment.
type Look struct {
	Page      view.Page
	Processes int      // that answered
	Several   bool     // there are more processes than one, some may not have answered
	Trouble   []string // of those that did not
	At        time.Time
}

// Detail is what there is to show of one breaker.
type Detail struct {
	Text    string   // what it does, why, and what happens next
	Facts   []string // what else there is to know, a line each
	History []breaker.Transition
	Plot    ops.Plot // of its calls, or of its set's; may be empty
}

// Config is how the screen sees and orders. The functions are called on
// goroutines of their own, and must end in bounded time.
type Config struct {
	// Look asks the processes. The sets in unfold are to be shown key by key.
	Look func(ctx context.Context, unfold []Ref) Look
	// Detail asks about one breaker.
	Detail func(context.Context, Ref) (Detail, error)
	// Do carries out an order in a process.
	Do func(ctx context.Context, process string, o ops.Order) (ops.Receipt, error)
	// Actor is who gives the orders.
	Actor string
	// Every is the time between two looks.
	Every time.Duration
	// Sort is the order to begin with.
	Sort view.Order
}

// Run shows the screen until the user quits or ctx is done.
func Run(ctx context.Context, c Config, opts ...tea.ProgramOption) error {
	m := newModel(ctx, c)
	_, err := tea.NewProgram(m, append(opts, tea.WithContext(ctx))...).Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil // Ctrl-C is how people leave
	}
	return err
}
