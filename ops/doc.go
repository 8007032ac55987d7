// Package ops is the operations plane: it lets people see and change the
// breakers of running processes, from a shell, a program or a browser.
//
//	m := breaker.NewManager(breaker.Settings{})
//	p := ops.New(m, ops.Options{})
//	defer p.Close()
//	s, err := p.Listen()             // for the command switchgear and for Client
//	mux.Handle("/ops/", p.Handler()) // dashboard, JSON, metrics: read-only
//
// Options decide who may give orders over HTTP, and name the files for the
// audit log and for orders that outlive a restart.
//
// # Orders
//
// There is one kind of Order for all transports. It names who gives it; an
// override also needs a reason, and an expiry or NoExpiry. DryRun shows what an
// order would do. IfVersion makes sure that nothing has changed since the actor
// looked. Confirm limits the number of breakers that an order with a wildcard
// may apply to. An unknown id is an error that names the nearest ids; it never
// creates a breaker. The Receipt says what changed, and gives the versions before
// and after.
//
// Orders last until the process ends: a restarted process begins with closed
// breakers and the settings of its program. With Options.Standing, the overrides
// and settings that people ordered are kept in a file and applied again; what
// can no longer be applied is reported.
//
// # Audit
//
// With Options.Audit, every order is written to a log of JSON lines, including
// refused ones: who claimed to give it, who gave it according to the kernel, and
// what it did. Each line contains the hash of the line before (see VerifyAudit).
// If the log cannot be written, orders are carried out nevertheless, and the
// receipt, the dashboard and Options.AuditFailed say so.
//
// # Security
//
// The socket belongs to the user that the process runs as (folder 0700, socket
// 0600), and the peer's user is checked. The HTTP handler accepts no orders
// unless Options.Authorize admits them; see Plane.Handler.
//
// # Concurrency
//
// All functions and methods may be used by many goroutines at once. While there
// is a Plane, calls are counted, which costs about 6 ns per call, or 20 ns if calls
// are timed (see breaker.Manager.Observe). Nothing else of the plane is on the path of a call.
package ops
