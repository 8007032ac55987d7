// Package breakerhttp puts circuit breakers around net/http clients and
// servers.
//
// # Clients
//
// One line guards every call of a client, with a breaker for each host:
//
//	client := &http.Client{Transport: breakerhttp.NewTransport(nil)}
//
// So that an operator sees the breakers, take them from a manager:
//
//	hosts := breaker.SetOf[string](manager, "http")
//	client := &http.Client{Transport: breakerhttp.NewTransport(nil, breakerhttp.WithSet(hosts, breakerhttp.Host))}
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only the dependency's own doing is.
//
// An answer of 5xx or 429, an error of the transport and a deadline that
// passes are failures; other answers, 4xx among them, are successes. WithStatus
// judges codes and WithErrors errors in other ways. An answer that begins well is
// judged when its body is at its end or closed: should reading it fail, the call
// has failed. Slow is what takes long to the headers; the pace of reading the
// body does not count. Retry-After of the answer that trips the breaker lengthens
// the open time, within breaker.Settings.ResetMax.
//
// Not evidence either way are:
//
//   - a caller's cancel;
//   - a request's body that cannot be read or closed, that is not as long as
//     announced, or that keeps the transport waiting until the caller's deadline
//     or, for most of the call, until the server gives up, and a failure answer to
//     such a request;
//   - a deadline that passes while the caller does not read the answer's body;
//   - the wait for one of http.Transport.MaxConnsPerHost connections, and a process
//     that has no file descriptor left;
//   - an answer whose header is larger than http.Transport.MaxResponseHeaderBytes;
//   - 407 Proxy Authentication Required, of a proxy that lets nothing through;
//   - a request that net/http refuses to send, such as one with an invalid header
//     or a scheme that is not supported, and an error of Transport.Proxy;
//   - a panic in the transport or in what it calls.
//
// A body that can break is watched: the transport gets a copy of the request with
// the watched body, which the deprecated http.Transport.CancelRequest does not
// know. One that is in memory, or a file that is sent over plain HTTP, is handed
// on as it is, because net/http treats these specially.
//
// Where http.Transport.MaxConnsPerHost is set, each call of the transport given to
// NewTransport is traced, so that a wait for a connection can be distinguished from a
// server that hangs. Behind a transport of another type it cannot.
//
// A connection that the server closed while it was idle can cost a call: net/http
// sends again what is safe to repeat, and reports the rest as an error, which is a
// failure, as nobody knows whether the request was served. Set
// http.Transport.IdleConnTimeout below the server's limit.
//
// # Rejections
//
// A rejected request reaches neither the network nor its own body, which is
// closed. Its error matches breaker.ErrOpen and wraps a *breaker.OpenError,
// whose RetryAfter says when to ask again. Do not retry it before.
//
// Put a retry loop outside the breaker, so that each attempt is judged, and a
// time limit inside of it or in the request's context, so that what hangs
// fails.
//
// # Servers
//
// NewHandler rejects with 503 and Retry-After while its breaker is open, which
// the handler's own 5xx answers and panics bring about. A failure after the
// client has gone, or after its body could not be read, is not evidence.
//
// A proxy has its breaker in its Transport, and answers rejections by
// ErrorHandler:
//
//	proxy := httputil.NewSingleHostReverseProxy(upstream)
//	proxy.Transport = breakerhttp.NewTransport(nil)
//	proxy.ErrorHandler = breakerhttp.ErrorHandler(nil)
package breakerhttp
