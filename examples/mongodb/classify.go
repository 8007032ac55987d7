// Package mongodb shows operations of the official driver behind a circuit
// breaker. docs/other-clients.md says what it is about.
package mongodb

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/switchgear-go/switchgear/breaker"
)

// failing are the server's codes for not being able to serve: unreachable
// peers, shutting down, no primary, out of time.
var failing = []int{6, 7, 50, 89, 91, 189, 9001, 10107, 11600, 11602, 13435, 13436}

// Classify is for breaker.WithClassifier. What the server says about the
// operation (no documents, a duplicate key, a validation) is a success; a
// network error, a time-out, no server to choose, and the codes above are
// failures. The program's own pool and its mistakes are not evidence.
func Classify(ctx context.Context, err error) breaker.Outcome {
	if ctx.Err() == context.Canceled {
		return breaker.Canceled
	}
	var poolIsFull topology.WaitQueueTimeoutError
	var noServer topology.ServerSelectionError
	var said mongo.ServerError
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return breaker.Success
	case errors.As(err, &poolIsFull):
		return breaker.Ignored
	case mongo.IsNetworkError(err), mongo.IsTimeout(err), errors.As(err, &noServer):
		return breaker.Failure
	case errors.As(err, &said):
		for _, code := range failing {
			if said.HasErrorCode(code) {
				return breaker.Failure
			}
		}
		return breaker.Success
	}
	return breaker.Ignored // an argument that cannot be marshalled, a closed client
}

// FindOne is one operation behind a breaker with this classifier.
func FindOne[T any](ctx context.Context, b *breaker.Breaker, c *mongo.Collection, filter any) (T, error) {
	return breaker.Do(ctx, b, func(ctx context.Context) (v T, err error) {
		err = c.FindOne(ctx, filter).Decode(&v)
		return v, err
	})
}
