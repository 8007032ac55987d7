// Package examples shows circuit breakers beside what they are used with: a
// retry library, a time limit, singleflight, a router, a database pool, and a
// worker that reads a queue. Each is an example that is tested. It is a module
// of its own, so that those libraries are nobody else's requirement.
package examples
