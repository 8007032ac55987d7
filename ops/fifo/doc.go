// Package fifo lets people see and change the breakers of a running process
// through a named pipe: one line in, one reply file out.
//
//	plane := ops.New(manager, ops.Options{})
//	defer plane.Close()
//	pipe, err := fifo.Start(plane, fifo.Config{})   // /tmp/breaker/<pid>.in and .out
//	if err != nil { ... }
//	defer pipe.Close()
//
// It speaks the protocol of PyBreaker's SpinningFifoManager in both directions:
// PyBreaker's circuit_breaker_fifo can drive a Server, and a Client can drive
// PyBreaker's manager. Programs use a Client; people use circuit_breaker_fifo,
// or a shell:
//
//	printf 'status\n' > /tmp/breaker/1234.in; sleep 0.1; cat /tmp/breaker/1234.out
//
// # Protocol
//
// A command is a line: a word, one space, and the id of a breaker, which is the
// rest of the line. The words are status (without an id: all breakers), open,
// close, half_open, force_open and force_closed. The reply is SUCCESS or ERROR,
// a newline, the text, and a newline. Each reply replaces the previous one.
//
// The other words are Switchgear's own, and PyBreaker rejects them as invalid
// commands. release ends an override. The rest, including their errors, are
// answered in JSON, in the format of package ops and its HTTP API:
//
//	explain ID                 why the breaker is in its state and what happens next
//	history ID                 its past transitions
//	switchgear-status [ID]     its full status; ID may be name/*
//	switchgear-overview        all breakers on one page
//	switchgear-order {...}     an ops.Order: any order, answered by its ops.Receipt
//
// So orders can do the same here as on the socket and over HTTP: they carry an
// actor, a reason and a duration, work on "name/*" with the number confirmed,
// and support expected versions, dry runs and settings. PyBreaker's words carry
// none of this; an override ordered by them has the actor "pipe" and no end.
//
// # Record
//
// Orders from the pipe go through the plane, so they are in its audit log and on
// its dashboard.
//
// # Security
//
// The pipe and the reply are files of mode 0600, whatever the umask, in a
// directory that is created with mode 0700 if it is missing. Symbolic links are
// not followed. Files and directories that belong to a user other than this one
// and root, and world-writable directories without the sticky bit, are refused.
// A client that runs as root also accepts those of the process's owner. A pipe
// does not reveal who writes to it: the actor of an order is what the client
// says.
//
// # Concurrency
//
// A Server is one goroutine that sleeps in read(2) and wakes once a second to
// check that its pipe still exists. Commands run one after the other, and none
// of them waits for a call that a breaker guards. Clients take turns by locking
// the pipe; the kernel releases the lock of a client that dies.
//
// # Platforms
//
// Linux, macOS and the BSDs. Elsewhere Start and every Client method return an
// error that matches errors.ErrUnsupported.
package fifo
