// Package sqltest tests breakersql with real drivers and databases. It is a
// module of its own, so that their requirements are nobody else's.
package sqltest
