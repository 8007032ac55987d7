package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// This file goes one beyond each limit of what a fleet keeps and tells (F11), with
// members that are nothing but their reports.

// reports are of simulated members: those with numbers from first on, in the zones
// that zone says, with these claims each.
func reports(seal wire.Seal, seq uint64, first, n int, zone func(i int) string, claims func(i int) []verdict.Claim) map[string][]byte {
	out := map[string][]byte{}
	for i := first; i < first+n; i++ {
		r := wire.Report{Boot: uint64(i) + 1, Seq: seq, Member: fmt.Sprint("sim-", i), Interval: time.Second, Breakers: 1}
		if zone != nil {
			r.Zone = zone(i)
		}
		if claims != nil {
			r.Claims = claims(i)
		}
		out[fmt.Sprintf("%016x", i+1)] = seal.Close(wire.KindReport, r.Append())
	}
	return out
}

// bad is a claim that all calls of a breaker fail.
func bad(id string) verdict.Claim {
	all := verdict.Evidence{Calls: 20, Failures: 20}
	return verdict.Claim{
		ID: id, Lease: time.Minute, Rule: verdict.Rule{FailureRate: 0.5, Every: 2 * time.Second, Backoff: 1},
		Spans: [verdict.SpanCount]verdict.Evidence{all, all, all},
	}
}

// tell puts reports into a bubble's store each second, until ctx ends.
func (c *crew) tell(ctx context.Context, first, n int, zone func(int) string, claims func(int) []verdict.Claim) {
	seal := wire.Seal{Group: "test", Key: c.all[0].Key}
	go func() {
		for seq := uint64(1); ctx.Err() == nil; seq++ {
			for field, report := range reports(seal, seq, first, n, zone, claims) {
				_ = c.store.Put(ctx, fleet.ReportTable, field, report)
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
}

// report is what a member said last.
func (c *crew) report(member string) *wire.Report {
	c.t.Helper()
	all, err := c.store.All(c.t.Context(), fleet.ReportTable)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, raw := range all {
		body, err := wire.Seal{Group: "test", Key: c.all[0].Key}.Open(wire.KindReport, raw)
		if err != nil {
			c.t.Fatal(err)
		}
		r, err := wire.ReadReport(body)
		if err != nil {
			c.t.Fatal(err)
		}
		if r.Member == member {
			return r
		}
	}
	c.t.Fatalf("no report of %s", member)
	return nil
}

// With 4,096 members and a few more, the coordinator counts 4,096, says how many
// are beyond, and those hear and obey as the others do.
func TestMembersBeyondTheLimit(t *testing.T) {
	long(t)
	t.Parallel()
	s := startServer(t)
	c := s.client()
	defer c.Close()
	fleets := fleetsOn(t, c, "big", 3)
	seal := wire.Seal{Group: "big", Key: testKey}
	var claims func(int) []verdict.Claim
	seq := uint64(0)
	beat := func() {
		t.Helper()
		seq++
		args := []any{}
		for field, report := range reports(seal, seq, 0, 4096, nil, claims) {
			args = append(args, field, report)
		}
		if err := c.HSet(t.Context(), "sg1:{big}:r", args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "4,096 are counted, and 3 are not", func() bool {
		beat()
		s := fleets[0].State()
		return s.Members == 4096 && s.Beyond == 3
	})
	m := new(breaker.Manager)
	b := m.Breaker("payments")
	late, err := fleet.Join(t.Context(), m, fleet.Options{Redis: c, Group: "big", Key: testKey, Member: "late"})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	claims = func(int) []verdict.Claim { return []verdict.Claim{bad("payments")} }
	wait(t, "the one that came late is known, and obeys a verdict", func() bool {
		beat()
		return b.State() == breaker.Open && late.State().Beyond == 4
	})
	if s := late.State(); s.Alone || s.Members != 4096 {
		t.Errorf("it came late: %+v", s)
	}
	if tr := b.Status().Transition; tr.Cause != breaker.CauseFleet || tr.Peers.Against < 4000 {
		t.Errorf("opened by %s", tr.Summary())
	}
	v, err := fleets[0].Group().View(t.Context())
	if err != nil || v.Beyond != 4 || len(v.Members) != 4100 || v.Dropped != 0 {
		t.Errorf("the view has %d members and %d beyond, %v", len(v.Members), v.Beyond, err)
	}
	// An order for all of them names a version for each.
	versions := map[string]uint64{}
	for field := range reports(seal, seq, 0, 4096-3, nil, nil) {
		versions[field] = 1 << 20
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	o := withActor(fleet.Order{Order: ops.Order{ID: "db", Verb: breaker.VerbOpen}, Versions: versions})
	r, err := fleets[0].Group().Order(ctx, o, nil)
	other := func(m fleet.MemberReceipt) bool { return strings.Contains(m.Error, "was not among those") }
	if err != nil || len(r.Refused) != 4 || len(r.Silent) != 4096 || !slices.ContainsFunc(r.Refused, other) {
		t.Errorf("an order for 4,100: %v, %v", r, err)
	}
	for i := range 4096 {
		o.Versions[fmt.Sprint("another ", i)] = 1
	}
	if _, err := fleets[0].Group().Order(ctx, o, nil); !errors.Is(err, wire.ErrSize) || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("an order that is too large: %v", err)
	}
}

// Of more keys than a member keeps an eye on, and a report has room for, the worst
// are told, and how many were left out.
func TestKeysBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).start().joined()
		set := breaker.SetOf[string](&c.all[0].m, "tenant")
		fail := func(key string) {
			_ = set.Do(t.Context(), key, func(context.Context) error { return errDown })
		}
		for i := range 300 {
			fail(fmt.Sprintf("t%03d", i))
		}
		for range 5 {
			fail("worst")
		}
		fail(strings.Repeat("x", 600))
		time.Sleep(2 * time.Second) // of those that did not open it hears with a beat
		for range 10 {
			time.Sleep(time.Second / 3) // at any time, and not only when it looks for keys
			r := c.report("pod-0")
			if n := len(r.Claims) + r.Omitted; n != 302 || len(r.Claims) < 60 || len(r.Claims) > 256 {
				t.Errorf("%d claims and %d left out, want 302 together", len(r.Claims), r.Omitted)
			}
			if !slices.ContainsFunc(r.Claims, func(c verdict.Claim) bool { return c.ID == "tenant/worst" && c.Auto == breaker.Open }) {
				t.Error("the worst is not among them")
			}
		}
		v := c.view()
		if v.Members[0].Omitted < 40 || v.Members[1].Omitted != 0 {
			t.Errorf("the view: %+v", v.Members)
		}
	})
}

// Of more healthy breakers than a report has room for, those are told that the
// fleet asks for, and the report says that it is not all.
func TestHealthyBreakersBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, time.Second).start().joined()
		busy := &c.all[0].m
		var all []*breaker.Breaker
		for i := range 400 {
			all = append(all, busy.Breaker(fmt.Sprintf("b%03d", i)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				for _, b := range all {
					_ = b.Do(ctx, func(context.Context) error { return nil })
				}
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		}()
		time.Sleep(5 * time.Second)
		r := c.report("pod-0")
		if len(r.Well) != wire.MaxWell || !r.Partial || r.Omitted != 0 {
			t.Fatalf("%d healthy ones, partial %v, %d left out", len(r.Well), r.Partial, r.Omitted)
		}
		var untold string
		for _, b := range all {
			if !slices.ContainsFunc(r.Well, func(w wire.Well) bool { return w.Hash == wire.Hash(b.ID()) }) {
				untold = b.ID()
			}
		}
		// Two others complain of one that it did not tell of: now it does, so that its
		// word counts as well.
		c.tell(ctx, 0, 2, nil, func(int) []verdict.Claim { return []verdict.Claim{bad(untold)} })
		time.Sleep(10 * time.Second)
		r = c.report("pod-0")
		if !slices.ContainsFunc(r.Well, func(w wire.Well) bool { return w.Hash == wire.Hash(untold) }) && !hasClaim(r, untold) {
			t.Errorf("%s is asked for, and not told", untold)
		}
		b, err := c.view().Breaker(untold)
		if err != nil || len(b.Verdicts) == 1 && b.Verdicts[0].Peers.Reporting != 3 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

func hasClaim(r *wire.Report, id string) bool {
	return slices.ContainsFunc(r.Claims, func(c verdict.Claim) bool { return c.ID == id })
}

// Of more silent members than a digest names, the number is told.
func TestSilentBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).start().joined()
		ctx, cancel := context.WithCancel(t.Context())
		c.tell(ctx, 0, 1100, nil, nil)
		time.Sleep(5 * time.Second)
		if s := c.all[0].f.State(); s.Members != 1102 || s.Silent != 0 {
			t.Errorf("%+v", s)
		}
		cancel()
		time.Sleep(10 * time.Second)
		if s := c.all[0].f.State(); s.Members != 2 || s.Silent != 1100 {
			t.Errorf("%+v", s)
		}
		v, named := c.view(), 0
		for _, m := range v.Members {
			if m.Silent {
				named++
			}
		}
		if v.Silent != 1100 || named != wire.MaxQuiet {
			t.Errorf("%d are silent, %d by name", v.Silent, named)
		}
	})
}

// Of more breakers with trouble than the coordinator remembers, those that are open
// stay, and the number of the others is told.
func TestSubjectsBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).start().joined()
		c.tell(t.Context(), 0, 24, nil, func(i int) (claims []verdict.Claim) {
			for k := range 50 { // three members each, 400 in all
				claims = append(claims, bad(fmt.Sprintf("tenant/%d-%d", i/3, k)))
			}
			return claims
		})
		time.Sleep(10 * time.Second)
		before := c.view()
		verdicts := func(v *fleet.View) (n int) {
			for i := range v.Breakers {
				n += min(1, len(v.Breakers[i].Verdicts))
			}
			return n
		}
		if n := verdicts(before); n != 400 || before.Omitted != 0 {
			t.Fatalf("%d verdicts, %d omitted, want 400", n, before.Omitted)
		}
		c.tell(t.Context(), 24, 24, nil, func(i int) (claims []verdict.Claim) {
			for k := range 50 {
				claims = append(claims, bad(fmt.Sprintf("tenant/%d-%d", i/3, k)))
			}
			return claims
		})
		time.Sleep(10 * time.Second)
		after := c.view()
		if n := verdicts(after); n != verdict.MaxSubjects || after.Omitted == 0 {
			t.Errorf("%d verdicts, %d omitted, want %d", n, after.Omitted, verdict.MaxSubjects)
		}
		for _, b := range before.Breakers {
			if now, err := after.Breaker(b.ID); len(b.Verdicts) > 0 && (err != nil || len(now.Verdicts) == 0) {
				t.Fatalf("the verdict of %s is forgotten", b.ID)
			}
		}
	})
}

// Of more bad zones than a breaker's verdicts are kept for, 32 open.
func TestZonesBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).start().joined()
		zone := func(i int) string { return fmt.Sprint("z", i/3) }
		c.tell(t.Context(), 0, 3*100, zone, func(i int) []verdict.Claim {
			claim := bad("payments")
			if i >= 3*40 {
				claim.Spans = [verdict.SpanCount]verdict.Evidence{{Calls: 20, Failures: 1}, {Calls: 20, Failures: 1}, {Calls: 20, Failures: 1}}
			}
			return []verdict.Claim{claim}
		})
		time.Sleep(10 * time.Second)
		if b, err := c.view().Breaker("payments"); err != nil || len(b.Verdicts) != verdict.MaxZones || slices.ContainsFunc(b.Verdicts, func(v fleet.Verdict) bool { return v.Zone == "" }) {
			t.Errorf("%d verdicts, want %d of zones: %v", len(b.Verdicts), verdict.MaxZones, err)
		}
	})
}

// An order for more breakers than a receipt has room for is done, with a receipt
// that says how many it was.
func TestReceiptBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, 0).withPlanes().start().joined()
		for i := range 2000 {
			c.all[0].m.Breaker(fmt.Sprintf("a breaker with quite a long name %04d", i))
		}
		o := forceOpen("*", time.Hour)
		o.Confirm = 2001
		r := c.order(o)
		if len(r.Done) != 1 || len(r.Silent) != 0 {
			t.Fatalf("%s", r)
		}
		got := r.Done[0].Receipt
		if got.Touched != 2001 || len(got.Results) < 20 || len(got.Results)+got.Omitted != 2001 {
			t.Errorf("touched %d, %d results and %d more", got.Touched, len(got.Results), got.Omitted)
		}
		// So is the list of what there is.
		c.all[0].m.Breaker("z")
		time.Sleep(5 * time.Second)
		if v := c.view(); len(v.Breakers) < 500 || len(v.Breakers)+v.Omitted != 2002 {
			t.Errorf("%d breakers shown and %d not", len(v.Breakers), v.Omitted)
		}
	})
}

// What is forged is dropped and counted, however much there is of it, and does not
// make a member do again what it has done (F10).
func TestForgedOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, 0).withPlanes().start().joined()
		c.order(forceOpen("db", time.Hour))
		b := c.all[0].m.Breaker("db")
		b.Release(breaker.Order{Actor: "bob"})
		forged, err := wire.Seal{Group: "test", Key: []byte("another key, of someone else")}.CloseRecord(wire.KindOrder, wire.Order{
			ID: "x", From: "eve", Order: ops.Order{ID: "db", Verb: breaker.VerbForceClosed, Actor: "eve"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			if _, err := c.store.Add(t.Context(), fmt.Sprint("forged ", i), forged, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if s := b.Status(); s.State != breaker.Closed || len(b.History()) != 2 {
			t.Errorf("%d changes, %s", len(b.History()), s.Explain())
		}
		if s := c.all[0].f.State(); s.Dropped < 5000 || !strings.Contains(s.LastDrop, "no valid signature") || len(s.LastDrop) > 600 {
			t.Errorf("%d dropped, the last: %s", s.Dropped, s.LastDrop)
		}
	})
}

// Names and errors full of what JSON escapes leave fewer transitions in a history,
// and the newest.
func TestHistoryBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, 0).start().joined()
		b := breaker.SetOf[string](&c.all[0].m, "tenant").Breaker(strings.Repeat("\x01", 500))
		for range 20 {
			b.Open(breaker.Order{Actor: strings.Repeat("\x02", 100), Reason: strings.Repeat("\x03", 300)})
			b.Close(breaker.Order{Actor: "the last"})
		}
		time.Sleep(10 * time.Second)
		past, err := c.all[0].f.Group().History(t.Context(), b.ID())
		if err != nil || len(past) < 4 || len(past) > 32 || !strings.Contains(past[0].Why, "the last") {
			t.Errorf("%d transitions, %v", len(past), err)
		}
	})
}

// The receipts of an order are forgotten after the order.
func TestReceiptsExpire(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.client()
	defer c.Close()
	fleetsOn(t, c, "g", 2)
	keys, err := c.Keys(t.Context(), "sg1:{g}:a:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("receipts in %q, %v", keys, err)
	}
	if ttl := c.PTTL(t.Context(), keys[0]).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("they are kept for %s", ttl)
	}
	for key, most := range map[string]time.Duration{"r": time.Hour, "n": time.Hour, "d": time.Minute} {
		if ttl := c.PTTL(t.Context(), "sg1:{g}:"+key).Val(); ttl <= 0 || ttl > most {
			t.Errorf("%s is kept for %s, want at most %s", key, ttl, most)
		}
	}
}
