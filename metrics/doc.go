// Package metrics adds up the breakers of a manager by name, for those who
// export them to a metrics system. Package ops, breakerprom and breakerotel are
// built on it; a program needs it only to write an exporter of its own.
//
//	w := metrics.Watch(manager)
//	defer w.Close()
//	// at each scrape:
//	for _, g := range metrics.Groups(manager, time.Now()) { ... }
//	for t, n := range w.Transitions() { ... }
//
// Names are written in the program's text, so there are few of them. Keys are
// data, and there may be millions: they are added up under the name of their
// set.
package metrics
