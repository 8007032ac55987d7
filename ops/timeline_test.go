package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// do gives orders that must be carried out.
func do(t *testing.T, p *ops.Plane, orders ...ops.Order) {
	t.Helper()
	for _, o := range orders {
		if _, err := p.Do(o, program); err != nil {
			t.Fatal(err)
		}
	}
}

func timeline(t *testing.T, p *ops.Plane, from time.Time, ids ...string) ops.Timeline {
	t.Helper()
	got, err := p.Timeline(from, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// line returns an event in a few words.
func line(e *ops.Event) string {
	switch {
	case e.Transition != nil:
		return fmt.Sprintf("%s %s %s %s by %q (%s)", e.Kind, e.ID, e.Transition.To, e.Transition.Cause, e.Transition.Actor, e.Transition.Reason)
	case e.Order != nil:
		return fmt.Sprintf("%s %s %s by %q (%s) %v", e.Kind, e.ID, e.Order.Verb, e.Order.Actor, e.Order.Reason, e.Order.Changes)
	case e.Override != nil:
		return fmt.Sprintf("%s %s %s by %q", e.Kind, e.ID, e.Override.State, e.Override.Actor)
	}
	return fmt.Sprintf("%s %s %s", e.Kind, e.ID, e.Notice)
}

// The timeline has what happened in order, with who and why.
func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		m.CapOpen(0.1)
		p := planeOf(t, m, ops.Options{})
		begun := time.Now()
		step := func() { synctest.Wait(); time.Sleep(time.Second) }
		fail(m.Breaker("payments"), 5)
		step()
		fail(m.Breaker("search"), 5) // held back: one of three may be open
		step()
		do(t, p, ops.Order{ID: "tenants/a", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "INC-42", For: ops.Duration(time.Minute)})
		step()
		do(t, p,
			ops.Order{ID: "tenants/*", Verb: ops.VerbSet, Actor: "bob", Settings: json.RawMessage(`{"fail_max": 3}`), Confirm: 10},
			ops.Order{ID: "search", Verb: ops.VerbSet, Actor: "bob", Settings: json.RawMessage(`{"fail_max": 9}`)},
			ops.Order{ID: "search", Verb: breaker.VerbOpen, Actor: "bob", DryRun: true})
		step()
		p.Report("", "deploying 1.2.3")
		time.Sleep(time.Minute)
		synctest.Wait()

		got := timeline(t, p, time.Time{})
		slices.SortStableFunc(got.Events, func(a, b ops.Event) int { // in the bubble, an order and its effect have the same time
			if a.At.Equal(b.At) && a.ID == b.ID {
				return strings.Compare(string(a.Kind), string(b.Kind))
			}
			return a.At.Compare(b.At)
		})
		var lines []string
		for i := range got.Events {
			lines = append(lines, line(&got.Events[i]))
		}
		want := []string{
			`transition payments open consecutive-failures by "" ()`,
			`held-back search open consecutive-failures by "" ()`,
			`order tenants/a force-open by "ana" (INC-42) []`,
			`transition tenants/a forced-open order by "ana" (INC-42)`,
			`order tenants/* set by "bob" () [{fail_max 5 3}]`,
			`order search set by "bob" () [{fail_max 5 9}]`,
			`notice  deploying 1.2.3`,
			`reminder tenants/a forced-open by "ana"`,
			`transition tenants/a closed override-expired by "ana" (INC-42)`,
		}
		if !slices.Equal(lines, want) {
			t.Errorf("the timeline is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
		if !got.CompleteSince.IsZero() {
			t.Errorf("events are missing before %s, want none", got.CompleteSince)
		}
		for _, c := range []struct {
			from time.Time
			ids  []string
			want int
		}{
			{begun.Add(3 * time.Second), nil, 5},
			{time.Time{}, []string{"payments"}, 2}, // the notice is for all
			{time.Time{}, []string{"payments", "search"}, 4},
			{time.Time{}, []string{"tenants/*"}, 6},
			{time.Time{}, []string{"tenants/b"}, 2}, // the set's settings are b's
			{time.Time{}, []string{"*"}, 9},
			{begun.Add(time.Hour), nil, 0},
		} {
			if n := len(timeline(t, p, c.from, c.ids...).Events); n != c.want {
				t.Errorf("from %s, of %q: %d events, want %d", c.from.Sub(begun), c.ids, n, c.want)
			}
		}
		for _, id := range []string{"paymnets", "tenants", "tenant/*", "tenants/zzz"} {
			if _, err := p.Timeline(time.Time{}, id); !errors.Is(err, breaker.ErrUnknown) {
				t.Errorf("the timeline of %s: %v, want ErrUnknown", id, err)
			}
		}
	})
}

// size returns the size of the events as JSON.
func size(t *testing.T, tl ops.Timeline) int {
	t.Helper()
	text, err := json.Marshal(tl)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

// A breaker that flaps all night loses its own oldest events and no others.
func TestTimelineIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 256 << 10
		m := breaker.NewManager(breaker.Settings{ResetTimeout: time.Second})
		p := planeOf(t, m, ops.Options{TimelineBytes: limit})
		for i := range 50 {
			fail(m.Breaker(fmt.Sprint("quiet-", i)), 5)
		}
		flapping := m.Breaker("flapping")
		for range 2000 {
			fail(flapping, 5)
			time.Sleep(2 * time.Second)
			succeed(flapping, 1)
		}
		all := timeline(t, p, time.Time{})
		if got := size(t, all); got > limit {
			t.Errorf("the timeline takes %d bytes, want at most %d", got, limit)
		}
		if all.CompleteSince.IsZero() {
			t.Error("events are missing, and the timeline does not say so")
		}
		for i := range 50 {
			quiet := timeline(t, p, time.Time{}, fmt.Sprint("quiet-", i))
			if len(quiet.Events) != 1 || !quiet.CompleteSince.IsZero() {
				t.Errorf("quiet-%d has %d events, complete since %s; want its one, and none missing", i, len(quiet.Events), quiet.CompleteSince)
			}
		}
		kept := timeline(t, p, time.Time{}, "flapping").Events
		if len(kept) < 100 {
			t.Fatalf("%d events of the flapping breaker are kept, want what there is room for", len(kept))
		}
		if last := kept[len(kept)-1].Transition; last.Version != flapping.Status().Version {
			t.Errorf("its newest event has version %d, want %d", last.Version, flapping.Status().Version)
		}
		for i := 1; i < len(kept); i++ {
			if kept[i].Transition.Version != kept[i-1].Transition.Version+1 {
				t.Fatalf("version %d comes after %d", kept[i].Transition.Version, kept[i-1].Transition.Version)
			}
		}
	})
}

// Very many keys with one event each are bounded, too: the oldest events are
// dropped.
func TestTimelineOfManyKeys(t *testing.T) {
	const limit = 128 << 10
	m := breaker.NewManager(breaker.Settings{FailMax: 1})
	p := planeOf(t, m, ops.Options{TimelineBytes: limit})
	keys := breaker.SetOf[int](m, "tenants")
	for i := range 5000 {
		fail(keys.Breaker(i), 1)
	}
	got := timeline(t, p, time.Time{})
	if n := size(t, got); n > limit || n < limit/4 {
		t.Errorf("%d bytes are kept, want about %d", n, limit)
	}
	if got.CompleteSince.IsZero() || got.Events[len(got.Events)-1].ID != "tenants/4999" {
		t.Errorf("complete since %s, the newest is %+v", got.CompleteSince, got.Events[len(got.Events)-1])
	}
	for i := 1; i < len(got.Events); i++ {
		if got.Events[i].At.Before(got.Events[i-1].At) {
			t.Fatal("the events are not in order")
		}
	}
	none := planeOf(t, m, ops.Options{TimelineBytes: -1})
	fail(m.Breaker("x"), 1)
	if got := timeline(t, none, time.Time{}); len(got.Events) != 0 || got.CompleteSince.IsZero() {
		t.Errorf("without room: %+v", got)
	}
}

// An answer has the newest 5,000 events and says from when on they are
// complete.
func TestTimelineOfThousandsOfEvents(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{TimelineBytes: 64 << 20})
	for i := range 6000 {
		p.Report("payments", fmt.Sprint("report ", i))
	}
	got := timeline(t, p, time.Time{})
	if len(got.Events) != 5000 || got.Events[4999].Notice != "report 5999" || got.CompleteSince.IsZero() {
		t.Errorf("%d events, complete since %s", len(got.Events), got.CompleteSince)
	}
	if later := timeline(t, p, got.Events[4000].At); !later.CompleteSince.IsZero() {
		t.Errorf("from a time on that is covered, events are missing before %s", later.CompleteSince)
	}
	for i := range 6000 {
		p.Report("payments", fmt.Sprint(i, strings.Repeat("x", 5000)))
	}
	if n := size(t, timeline(t, p, time.Time{})); n > 9<<20 {
		t.Errorf("an answer of %d bytes, want at most some 8 MiB", n)
	}
}

func TestTimelineOverHTTP(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	fail(m.Breaker("payments"), 5)
	order(t, p, "search")
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	c, err := ops.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Timeline(ctx, time.Now().Add(-time.Hour), "payments")
	if err != nil || len(got.Events) != 1 || got.Events[0].Transition.Summary() != "5 failures in a row; last error: "+errDown.Error() {
		t.Errorf("the timeline of payments is %+v, %v", got, err)
	}
	if got, err = c.Timeline(ctx, time.Time{}); err != nil || len(got.Events) != 3 {
		t.Errorf("the timeline is %+v, %v", got, err)
	}
	if _, err = c.Timeline(ctx, time.Time{}, "paymnets"); !errors.Is(err, breaker.ErrUnknown) || !strings.Contains(err.Error(), "payments") {
		t.Errorf("of a misspelt id: %v, want ErrUnknown with the nearest id", err)
	}
	for since, want := range map[string]int{
		"1h": http.StatusOK, "0s": http.StatusOK, "2026-01-02T15:04:05Z": http.StatusOK, "2026-01-02T15:04:05.123+02:00": http.StatusOK,
		"-1h": http.StatusBadRequest, "yesterday": http.StatusBadRequest, "3": http.StatusBadRequest,
	} {
		if w := get(p.Handler(), "/v1/timeline?since="+url.QueryEscape(since)); w.Code != want {
			t.Errorf("since=%s: %d %s, want %d", since, w.Code, w.Body, want)
		}
	}
}

// The audit log's failure is an event.
func TestAuditEvents(t *testing.T) {
	m := shop(t)
	failed := make(chan error, 10)
	p := ops.New(m, ops.Options{Audit: t.TempDir() + "/no/such/folder", AuditFailed: func(err error) { failed <- err }})
	defer p.Close()
	if err := <-failed; err == nil {
		t.Fatal("the audit log works")
	}
	got := timeline(t, p, time.Time{}).Events
	if len(got) != 1 || got[0].Kind != ops.EventAudit || !strings.HasPrefix(got[0].Notice, "the audit log cannot be written: ") {
		t.Errorf("the timeline is %+v", got)
	}
}

// An order comes before its effects, whichever is published first.
func TestTimelineHasOrdersBeforeTheirEffects(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	for range 100 {
		order(t, p, "payments")
	}
	all := timeline(t, p, time.Time{}, "payments").Events
	for i := 1; i < len(all); i++ {
		if all[i].Kind == ops.EventTransition && all[i-1].Kind != ops.EventOrder {
			t.Fatalf("a transition comes after %+v, want its order", all[i-1])
		}
	}
}

func TestPlaneEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		p := planeOf(t, m, ops.Options{})
		p.Report("", "before")
		var got []string
		last := ""
		follow := func(ctx context.Context, after string, most int) {
			for e, err := range p.Events(ctx, after) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, line(&e))
				if last = e.StreamID; len(got) == most {
					return
				}
			}
		}
		check := func(what string, want ...string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
			got = nil
		}
		go follow(t.Context(), "", 2)
		synctest.Wait()
		p.Report("", "one")
		p.Report("", "two")
		synctest.Wait()
		check("from now on", "notice  one", "notice  two")
		p.Report("", "three")
		follow(t.Context(), last, 1)
		check("after an event", "notice  three")
		follow(t.Context(), "other-17", 1)
		check("after another process's", "gap  ")

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		follow(ctx, last, 1) // returns when ctx ends
		check("until ctx ends")
		for i := range 3000 {
			p.Report("", fmt.Sprint(i))
		}
		follow(t.Context(), last, 2)
		check("too late", "gap  ", "notice  952") // 2,048 are kept
		var wg sync.WaitGroup
		wg.Go(func() { follow(t.Context(), "", 1) })
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait() // ends with the plane
	})
}

// Transitions, readers and the dropping of old events may happen at once.
func TestTimelineConcurrently(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{FailMax: 1, ResetTimeout: time.Nanosecond})
	p := planeOf(t, m, ops.Options{TimelineBytes: 64 << 10})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 500 {
				b := m.Breaker(fmt.Sprint("b", i))
				fail(b, 2)
				succeed(b, 1)
			}
		})
		wg.Go(func() {
			for range 100 {
				for _, e := range timeline(t, p, time.Time{}).Events {
					if e.Transition == nil {
						t.Error("an event without its transition")
					}
				}
			}
		})
	}
	wg.Wait()
	if n := size(t, timeline(t, p, time.Time{})); n > 64<<10 {
		t.Errorf("%d bytes, want at most %d", n, 64<<10)
	}
}
