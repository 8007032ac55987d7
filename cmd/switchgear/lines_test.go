package main_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

// lines is what a program writes, line by line as it comes.
type lines struct {
	t    *testing.T
	c    chan string
	seen []string
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
// line that has told of something is read once.
func (l *lines) await(words ...string) string {
	l.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-l.c:
			if !ok {
				l.t.Fatalf("it ended without a line with %q; it wrote:\n%s", words, l.text())
			}
			l.seen = append(l.seen, line)
			if hasAll(line, words) {
				return line
			}
		case <-limit:
			l.t.Fatalf("no line with %q within 20s; it wrote:\n%s", words, l.text())
		}
	}
}

// has waits a moment for a line with the word, and leaves it to be read.
func (l *lines) has(word string) bool {
	limit := time.After(200 * time.Millisecond)
	select {
	case line, ok := <-l.c:
		if ok {
			l.c <- line
		}
		return ok && strings.Contains(line, word)
	case <-limit:
		return false
	}
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
