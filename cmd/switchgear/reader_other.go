//go:build !unix

package main

import (
	"context"
	"io"
)

// untilReaderGone returns ctx here: that the reader has gone is noticed when
// something is written.
func untilReaderGone(ctx context.Context, _ io.Writer) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
