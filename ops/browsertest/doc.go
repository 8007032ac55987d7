// Package browsertest drives the dashboard of package ops, and the site of the
// documentation, in a real browser.
// It has nothing but tests, and a module of its own for what they need.
package browsertest
