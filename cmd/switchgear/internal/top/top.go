// Package top is the live screen of breakers: sorted, filtered and explained,
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

// Look is what was found at one moment.
type Look struct {
	Page      view.Page
	Processes int      // processes that answered
	Several   bool     // there is more than one process, some of which may not have answered
	Trouble   []string // errors of those that did not
	At        time.Time
}

// Detail is what is known about one breaker.
type Detail struct {
	Text    string   // what it does, why, and what happens next
	Facts   []string // further facts, one line each
	History []breaker.Transition
	Plot    ops.Plot // of its calls, or of those of its set; may be empty
}

// Config is how the screen reads and gives orders. The functions are called on
// separate goroutines, and must return within a bounded time.
type Config struct {
	// Look asks the processes. The sets in unfold are shown key by key.
	Look func(ctx context.Context, unfold []Ref) Look
	// Detail asks about one breaker.
	Detail func(context.Context, Ref) (Detail, error)
	// Do carries out an order in a process.
	Do func(ctx context.Context, process string, o ops.Order) (ops.Receipt, error)
	// Actor is who gives the orders.
	Actor string
	// Every is the time between two looks.
	Every time.Duration
	// Sort is the initial sort order.
	Sort view.Order
}

// Run shows the screen until the user quits or ctx is done.
func Run(ctx context.Context, c Config, opts ...tea.ProgramOption) error {
	m := newModel(ctx, c)
	_, err := tea.NewProgram(m, append(opts, tea.WithContext(ctx))...).Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil // Ctrl-C is a normal way to quit
	}
	return err
}
