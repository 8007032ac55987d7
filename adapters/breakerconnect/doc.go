// Package breakerconnect guards connect-go's calls with circuit breakers: unary
// calls and streams, on the client and on the server, with the protocols
// Connect, gRPC and gRPC-Web.
//
// # Usage
//
// A Guard is a connect.Interceptor. It keys a breaker.Set, so that the breakers
// are bounded, and are seen and operated through their manager:
//
//	guard := breakerconnect.New(breaker.SetOf[string](manager, "payments"))
//	client := paymentsconnect.NewPaymentsClient(http.DefaultClient, url,
//		connect.WithInterceptors(guard))
//
// A handler takes the same option. By default there is one breaker for each
// service; see WithKey.
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only the dependency's own doing is.
//
// The codes Unavailable, DeadlineExceeded, Internal, Unknown, ResourceExhausted
// and DataLoss are failures (see WithFailureCodes); all other codes are successes,
// because the service answered. Not evidence either way are:
//
//   - a caller's cancel, and a call whose context had ended before it began;
//   - what never left the client: a message that is too large or cannot be
//     marshalled, an invalid header, an unsupported scheme, a process that has no
//     file descriptor left for a connection;
//   - a message larger than its receiver's limit (connect.WithReadMaxBytes), and a
//     header larger than http.Transport.MaxResponseHeaderBytes;
//   - 407 Proxy Authentication Required, of a proxy that lets nothing through;
//   - a panic on the client: in a codec, or in an interceptor below;
//   - the rejection of another breaker below, and the code Canceled where it was
//     not the caller who cancelled;
//   - on a server, an error or a panic after the client's cancel, and an error of
//     reading the client's messages that a handler returns.
//
// On a server a handler that panics has failed. A deadline is the client's choice
// there: where clients are not to be trusted with it, leave DeadlineExceeded out.
//
// Whether a request has left the client is seen by net/http/httptrace, which
// net/http and golang.org/x/net/http2 serve. With another HTTP client a network
// error is known by its type. A connection that breaks counts as Unavailable,
// whatever code connect has for it.
//
// google.rpc.RetryInfo in a failure's details lengthens the open time, as
// breaker.RetryAfterHinter does. What is judged a failure is still subject to
// the set's own exclusions and classifier.
//
// # Streams
//
// A stream's outcome is known at its end: where Receive returns io.EOF or an
// error, or, on a server, where the handler returns. A client that closes the
// response before the end, or whose deadline passes after the first message,
// had an answer: a success. Before the first message the one is not evidence,
// and the other a failure. Slow calls (breaker.Settings.SlowCall) are timed to
// the first message of the answer, and that message passes a probe, since a
// stream may go on for hours.
//
// # Rejections
//
// A rejected call gets a *connect.Error with CodeUnavailable, with
// google.rpc.ErrorInfo and, when the time is known, google.rpc.RetryInfo in its
// details. On the side that rejected, errors.Is(err, breaker.ErrOpen) holds.
package breakerconnect
