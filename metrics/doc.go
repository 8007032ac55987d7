// Package metrics adds up the breakers of a manager by name, for exporters to
// metrics systems. Package ops, breakerprom and breakerotel are built on it. A
// program needs it only to write an exporter of its own.
//
//	w := metrics.Watch(manager)
//	defer w.Close()
//	// at each scrape:
//	for _, g := range metrics.Groups(manager, time.Now()) { ... }
//	for t, n := range w.Transitions() { ... }
//
// Names are written in the program's source, so there are few of them, and they
// are safe as labels. Keys are data, and there may be millions, so keys are
// added up under the name of their set.
package metrics
