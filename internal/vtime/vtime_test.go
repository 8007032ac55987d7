package vtime

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdvance(t *testing.T) {
	base := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := New(base, nil)
	var ran []string
	note := func(what string) func() {
		return func() { ran = append(ran, what+" "+s.Since(base).String()) }
	}
	s.AfterFunc(2*time.Second, note("b"))
	s.AfterFunc(time.Second, note("a"))
	s.AfterFunc(2*time.Second, note("c"))
	stopped := s.AfterFunc(time.Second, note("stopped"))
	s.AfterFunc(time.Second, func() { s.AfterFunc(500*time.Millisecond, note("set on the way")) })
	s.AfterFunc(time.Hour, note("later"))
	s.AfterFunc(1<<63-1, note("never"))
	if !stopped.Stop() || stopped.Stop() {
		t.Error("want the first Stop to find the timer, and the second not")
	}
	s.Advance(3 * time.Second)
	if want := []string{"a 1s", "set on the way 1.5s", "b 2s", "c 2s"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	if now := s.Now(); !now.Equal(base.Add(3 * time.Second)) {
		t.Errorf("the time is %v, want 3s after %v", now, base)
	}
	if d := s.Until(base.Add(5 * time.Second)); d != 2*time.Second {
		t.Errorf("Until is %v, want 2s", d)
	}
}

func TestRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Source
		began := s.Now()
		ran := false
		s.AfterFunc(time.Minute, func() { ran = true })
		stopped := s.AfterFunc(time.Minute, func() { t.Error("a stopped timer ran") })
		stopped.Stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !ran || s.Since(began) != time.Minute || s.Until(began) != -time.Minute || s.Rand() != nil {
			t.Errorf("ran %t after %v, want true after 1m", ran, s.Since(began))
		}
	})
}
