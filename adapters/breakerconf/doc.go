// Package breakerconf reads breaker.conf, PyBreaker's config file, and gives a
// program its breakers and its pipe from it.
//
//	app, err := breakerconf.Open("breaker.conf")
//	if err != nil { ... }
//	defer app.Close()
//	payments := app.Manager.Breaker("payments")
//
// # File
//
//	[pybreaker]                             ; or [switchgear]
//	    input_path = /tmp/breaker/{pid}.in
//	    output_path = /tmp/breaker/{pid}.out
//	    fail_max = 5
//	    reset_timeout = 60                  ; seconds, or 60s, or 1m
//	    sleep_delay = .1
//	    audit_path = /var/log/shop/{pid}.audit ; no default: without it no audit log
//	    standing_path = /var/lib/shop/breaker.orders ; no default: without it orders end with the process
//
//	[breaker payments]                      ; one breaker, where it differs
//	    failure_rate = 0.5
//	    window = 30s
//
// Every key may be left out; the first five show their defaults. {pid} stands for
// the process id. Keys are in any case, with = or a colon, indented or not.
// Comments begin with ; or #, at the start of a line or after a blank. The
// spelling reset_timout of PyBreaker's documentation is understood.
//
// The first section and those of breakers take every field of breaker.Settings
// under its name in snake_case. Times are seconds, as in PyBreaker, or have a
// unit, as in Go. "off" switches off what can be off. A breaker's section
// begins with what the first section says.
//
// Keys of [DEFAULT] stand for those that the first section does not have. A
// path may have %(key)s in it, which is another key of the two, and %% for a
// percent sign. Sections of other programs are skipped.
//
// # Errors
//
// Whatever is wrong in a file is one line with the file, the line and what
// would be right.
package breakerconf
