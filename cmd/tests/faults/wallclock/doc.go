// Package wallclock steps the wall clock of this process alone, as an operator
// or a time daemon steps that of a machine. It is for tests.
//
// The Go runtime reads clocks by calling clock_gettime of the kernel's vDSO,
// past any library that could stand in for it, and nobody may set the clock of
// a machine for a test's sake. So Step makes the runtime call a function that asks
// the kernel and adds to what the wall clock says. The monotonic clock and the
// timers are the kernel's own.
package wallclock
