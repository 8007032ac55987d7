// Package sqltest tests breakersql with real drivers and databases. It is a
// separate module, so that other modules do not get their requirements.
package sqltest
