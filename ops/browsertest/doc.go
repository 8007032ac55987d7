// Package browsertest tests the dashboard of package ops, and the
// documentation site, in a real browser. It contains only tests, and is a
// separate module because of their dependencies.
package browsertest
