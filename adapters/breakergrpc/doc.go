// Package breakergrpc guards gRPC calls with circuit breakers: unary calls and
// streams, on the client and on the server.
//
// # Usage
//
// A Guard holds the four interceptors. They key a breaker.Set, so that it is
// bounded, and is seen and operated through the manager it belongs to:
//
//	guard := breakergrpc.New(breaker.SetOf[string](manager, "payments"))
//	conn, err := grpc.NewClient(target,
//		grpc.WithChainUnaryInterceptor(guard.UnaryClient),
//		grpc.WithChainStreamInterceptor(guard.StreamClient))
//
// On a server: grpc.ChainUnaryInterceptor(guard.UnaryServer) and
// grpc.ChainStreamInterceptor(guard.StreamServer). By default there is one
// breaker for each service; see WithKey. Connections to different places want
// sets of their own, or ByTarget.
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only the dependency's own doing is.
//
// The codes Unavailable, DeadlineExceeded, Internal, Unknown,
// ResourceExhausted and DataLoss are failures. All other codes are successes: the
// service answered. WithFailureCodes lists other codes, WithFailure chooses them
// for each method or for streams alone. What is judged a failure is still subject
// to the set's own exclusions and classifier.
//
// Not evidence either way are:
//
//   - a caller's cancel, and a call whose context had ended before it began;
//   - a call that grpc-go refuses to send: a message that is too large or cannot
//     be marshalled or compressed, metadata that is not valid, credentials that
//     cannot be had (unless their error has a gRPC status, which looks like the
//     service's), or a process that has no file descriptor left for a connection;
//   - a message that is larger than the receiver's limit;
//   - a reply, or a message to receive, that is not of a type that the codec knows;
//   - a panic on the client: in a codec, or in an interceptor below;
//   - a rejection by another breaker below;
//   - the code Canceled when it was not the caller who cancelled.
//
// google.rpc.RetryInfo in a failure's details lengthens the open time, as
// breaker.RetryAfterHinter does.
//
// On a server a handler that panics has failed. An error or a panic after the
// client's cancel is not evidence, nor is an error of reading the client's
// messages that a handler returns. A deadline is the client's choice there: where
// clients are not to be trusted with it, leave DeadlineExceeded out.
//
// # Streams
//
// A stream's outcome is known at its end: where RecvMsg returns io.EOF or an
// error, or, on a server, where the handler returns. A stream that its caller
// leaves by cancelling its context is not evidence, nor is one that has answered
// with a message and is then quiet until its caller's deadline. No goroutine is
// kept for a stream. Two rules make long streams fit: slow calls
// (breaker.Settings.SlowCall) are timed to the first message of the answer,
// and while the breaker is half-open that message passes the probe, since a
// stream may go on for hours.
//
// # Rejections
//
// A rejected call gets the code Unavailable, with google.rpc.ErrorInfo and,
// when the time is known, google.rpc.RetryInfo in its details; on the side that
// rejected, errors.Is(err, breaker.ErrOpen) holds too. A server's rejection also
// tells clients' retry policies not to retry.
//
// # Retries
//
// Interceptors run outside the retries of a service config: a call is judged
// once, after its last attempt, and a rejection is not retried. A retrying
// interceptor belongs inside this one, that is after it in the chain; one
// outside of it must not retry what matches breaker.ErrOpen.
package breakergrpc
