// Package wallclock steps the wall clock of this process alone, as an operator
// or a time daemon steps that of a machine. It is for tests.
//
// The Go runtime reads clocks by calling clock_gettime in the kernel's vDSO,
// which a library cannot intercept, and a test must not set the clock of a
// machine. So Step makes the runtime call a function that asks the kernel and
// adds to the wall clock. The monotonic clock and the timers remain the
// kernel's.
package wallclock
