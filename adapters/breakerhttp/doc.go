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
// An answer of 5xx or 429, an error of the transport and a deadline that
// passes are failures; other answers, 4xx among them, are successes. A caller
// that cancels is no evidence. An answer that begins well is judged when its
// body is at its end or closed: should reading it fail, the call has failed.
// Slow is what takes long to the headers; the pace of reading the body does not
// count. Retry-After of the answer that trips the breaker lengthens the open
// time, within breaker.Settings.ResetMax.
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
// the handler's own 5xx answers and panics bring about.
package breakerhttp
