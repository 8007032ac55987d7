// Package fifo lets people see and change the breakers of a running process
// through a named pipe: one line in, one reply file out.
//
//	m := breaker.NewManager(breaker.Settings{})
//	s, err := fifo.Start(m, fifo.Config{})   // /tmp/breaker/<pid>.in and .out
//	if err != nil { ... }
//	defer s.Close()
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
// A command is a line: a word, one blank, and the id of a breaker, which is all
// the rest. The words are status (the id may be missing: all breakers), open,
// close, half_open, force_open and force_closed. The reply is SUCCESS or ERROR,
// a line end, the text, and a line end. Each reply replaces the one before.
//
// The other words are ours alone, and PyBreaker refuses them as invalid
// commands. release lifts an override. The rest is answered in JSON, in the
// shapes of package ops and its HTTP API, refusals too:
//
//	explain ID                 why it is so and what happens next
//	history ID                 what it went through
//	switchgear-status [ID]     all there is to see; ID may be name/*
//	switchgear-overview        all breakers on one page
//	switchgear-order {...}     an ops.Order: any order, answered by its ops.Receipt
//
// So orders are the same here as on the socket and over HTTP: with an actor, a
// reason and an end, for "name/*" with the number confirmed, for an expected
// version, as a dry run, and for settings. PyBreaker's words carry none of it;
// an override that they order stands as ordered by "pipe", without an end.
//
// # Record
//
// A server by itself keeps no record of orders but in the breakers' history and
// its Logger. A program with an ops.Plane gives Config.Do its Do; then orders of
// the pipe stand in its audit log and on its dashboard.
//
// # Security
//
// The pipe and the reply are files of mode 0600 whatever the umask, in a folder
// that is made 0700 when it is missing. No symbolic link is followed. Files and
// folders of somebody who is neither this user nor root, and folders that all
// the world may write to without the sticky bit, are refused; root as a client
// also relies on those of the process's owner. A pipe does not tell who writes
// to it: the author of an order is what the client says.
//
// # Concurrency
//
// A Server is one goroutine that sleeps in read(2) and wakes once a second to
// see that its pipe is still there. Commands run one after the other, and none
// of them waits for a call that is in flight through a breaker. Clients take
// turns by a lock on the pipe, which the kernel takes back when one dies.
//
// # Platforms
//
// Linux, macOS and the BSDs. Elsewhere Start and every Client method return an
// error that matches errors.ErrUnsupported.
package fifo
