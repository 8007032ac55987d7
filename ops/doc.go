// Package ops is the operations plane: it lets people see and change the
// breakers of running processes, from a shell, a program or a browser.
//
//	m := breaker.NewManager(breaker.Settings{})
//	p := ops.New(m, ops.Options{})
//	defer p.Close()
//	s, err := p.Listen()             // for the command switchgear and for Client
//	mux.Handle("/ops/", p.Handler()) // dashboard, JSON, metrics: read-only
//
// Options say who may give orders over HTTP, and where the audit log and the
// orders that outlive a restart are kept.
//
// # Orders
//
// There is one kind of Order for every transport. It names who gives it; an
// override says why, and when it ends or that it does not. What an order would
// do can be seen with DryRun; that nothing moved since is what IfVersion is
// for; an order for many says with Confirm for how many. An id that names
// nothing is an error with the nearest ids, and never makes a breaker. The
// Receipt says what was changed, from which version to which.
//
// Orders hold until the process ends: a process that starts again starts with
// closed breakers and the settings of its program. With Options.Standing,
// overrides and settings that people ordered are kept in a file and applied
// again; what cannot be applied any more is noticed.
//
// # Audit
//
// With Options.Audit, every order stands in a log of JSON lines, refused ones
// too: who claimed to give it, who the kernel says gave it, what it did. Each
// line carries the hash of the one before (VerifyAudit). Where the log cannot
// be written, orders are carried out all the same, and the receipt, the
// dashboard and Options.AuditFailed say so.
//
// # Security
//
// The socket belongs to the user that the process runs as: folder 0700, socket
// 0600, and the peer's user is checked. The HTTP handler takes no orders unless
// Options.Authorize lets them pass; see Plane.Handler.
//
// # Concurrency
//
// Everything here may be used by many goroutines at once. Calls are counted while
// there is a Plane, which costs each some 4 ns (see breaker.Manager.Observe);
// nothing else of it is on their path.
package ops
