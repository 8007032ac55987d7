package main_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

// lines is what a program writes, line by line as it arrives.
type lines struct {
	t      *testing.T
	c      chan string
	seen   []string // read by await
	peeked []string // read by has
}

func linesOf(t *testing.T, r io.ReadCloser) *lines {
	l := &lines{t: t, c: make(chan string, 10_000)}
	go func() {
		defer r.Close()
		defer close(l.c)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			l.c <- sc.Text()
		}
	}()
	return l
}

// await reads lines up to the one that has all the words, and returns it. A
// line that has been returned is not returned again.
func (l *lines) await(words ...string) string {
	l.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		line, ok := l.next(limit)
		if !ok {
			l.t.Fatalf("no line with %q came before the end, or within 20s; it wrote:\n%s", words, l.text())
		}
		l.seen = append(l.seen, line)
		if hasAll(line, words) {
			return line
		}
	}
}

func (l *lines) next(limit <-chan time.Time) (line string, ok bool) {
	if len(l.peeked) > 0 {
		line = l.peeked[0]
		l.peeked = l.peeked[1:]
		return line, true
	}
	select {
	case line, ok = <-l.c:
		return line, ok
	case <-limit:
		return "", false
	}
}

// has waits a moment for a line, and reports whether one has the word. It
// leaves the lines for await.
func (l *lines) has(word string) bool {
	select {
	case line, ok := <-l.c:
		if ok {
			l.peeked = append(l.peeked, line)
		}
	case <-time.After(200 * time.Millisecond):
	}
	return strings.Contains(strings.Join(l.peeked, "\n"), word)
}

// rest reads to the end.
func (l *lines) rest() {
	for line := range l.c {
		l.seen = append(l.seen, line)
	}
}

// saw reports whether a line that was read has the word.
func (l *lines) saw(word string) bool { return strings.Contains(l.text(), word) }

func (l *lines) text() string { return strings.Join(l.seen, "\n") }
