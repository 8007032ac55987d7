//go:build !unix

package main

import (
	"context"
	"io"
)

// whileRead is ctx here: that the reader has gone shows when something is
// written.
func whileRead(ctx context.Context, _ io.Writer) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
