package browsertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// scene is a shop on a bad day: some of everything that the page can show. It
// runs for a while, so that there is a past to show.
func scene(t *testing.T, past time.Duration) *site {
	t.Helper()
	m := breaker.NewManager(breaker.Settings{FailMax: 5, ResetTimeout: 45 * time.Second})
	s := serve(t, m, ops.Options{Authorize: anybody})
	create := func(name string, s breaker.Settings) *breaker.Breaker {
		b, err := m.Create(name, s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	payments := create("payments", breaker.Settings{FailMax: -1, FailureRate: 0.5, ResetTimeout: past/12 + time.Second, ResetBackoff: 2})
	flappy := create("geo-lookup", breaker.Settings{FailMax: 2, ResetTimeout: past/40 + 10*time.Millisecond})
	probing := create("fraud-score", breaker.Settings{FailMax: 2, ResetTimeout: 10 * time.Millisecond, Probes: 5, SuccessThreshold: 5, ProbeTimeout: time.Minute})
	tenants := breaker.SetOf[string](m, "tenants")
	for i := range 412 {
		tenants.Breaker(fmt.Sprintf("eu-%03d", i))
	}
	calm := []string{"catalog", "cart", "sessions", "thumbnails", "feature-flags", "exchange-rates", "mail"}
	step := max(past/240, 2*time.Millisecond)
	for i := range 240 {
		time.Sleep(step)
		for j, name := range calm {
			succeed(m.Breaker(name), 4*j+rand.IntN(9))
		}
		succeed(tenants.Breaker(fmt.Sprintf("eu-%03d", rand.IntN(412))), 20)
		if bad := rand.IntN(10); i > 90 && i < 150 || i > 205 {
			fail(payments, 4+bad/2, fmt.Errorf("POST https://pay.example/charge: %w", context.DeadlineExceeded))
			succeed(payments, 10-bad)
		} else {
			succeed(payments, 12+bad)
		}
		if i%24 < 6 {
			fail(flappy, 2, errors.New("HTTP 502 from geo.internal"))
		} else {
			succeed(flappy, 3)
		}
		switch i {
		case 60:
			m.Breaker("recommendations").ForceOpen(breaker.Order{Actor: "bob", Reason: "vendor maintenance until 14:00", For: 50 * time.Minute})
			m.Breaker("legacy-erp").ForceOpen(breaker.Order{Actor: "deploy-bot", Reason: "switched off for good, see ADR-17"})
		case 130:
			fail(m.Breaker("search"), 6, errDown)
		case 160:
			m.Breaker("search").ForceClosed(breaker.Order{Actor: "ana", Reason: "INC-42: the alert is false, the index is up", For: 12 * time.Minute})
		case 210:
			tenants.Breaker("eu-005").ForceOpen(breaker.Order{Actor: "ana", Reason: "abusive import", For: time.Hour})
		}
	}
	for _, k := range []string{"eu-017", "eu-230"} {
		fail(tenants.Breaker(k), 7, errors.New("pq: too many connections for role"))
	}
	fail(tenants.Breaker("eu-101"), 3, errDown)
	fail(m.Breaker("mail"), 3, errors.New("451 try again later"))
	for payments.State() != breaker.Open {
		fail(payments, 40, fmt.Errorf("POST https://pay.example/charge: %w", context.DeadlineExceeded))
	}
	fail(probing, 2, errors.New("model not loaded"))
	time.Sleep(15 * time.Millisecond)
	succeed(probing, 2)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for range 2 {
		go func() { _ = probing.Do(context.Background(), func(context.Context) error { <-hang; return nil }) }()
	}
	return s
}

// TestGallery looks at the page on each kind of screen. With
// SWITCHGEAR_SCREENSHOTS it takes some minutes, for pictures with a past.
func TestGallery(t *testing.T) {
	past := time.Duration(0)
	if os.Getenv("SWITCHGEAR_SCREENSHOTS") == "" {
		long(t)
		t.Parallel()
	} else {
		past = 4 * time.Minute
		if short, err := time.ParseDuration(os.Getenv("SWITCHGEAR_SCREENSHOTS_PAST")); err == nil {
			past = short
		}
	}
	s := scene(t, past)
	p := open(t, s.url(), 1440, 900, "light")
	p.click(row("tenants/*", ".name"))
	p.choose("#span", "300")
	p.do("point elsewhere", chromedp.MouseEvent("mouseMoved", 5, 5))
	for _, v := range []struct {
		name          string
		width, height int64
		scheme        string
	}{
		{"desktop-light", 1440, 900, "light"},
		{"desktop-dark", 1440, 900, "dark"},
		{"desktop-forced", 1440, 900, "forced"},
		{"laptop-light", 1280, 800, "light"},
		{"tablet-light", 900, 900, "light"},
		{"phone-light", 360, 760, "light"},
		{"phone-dark", 360, 760, "dark"},
	} {
		p.screen(v.width, v.height, v.scheme)
		p.says("payments")
		p.says("tenants/*")
		p.until("pictures are drawn", fmt.Sprintf(`document.querySelector(%q) && document.querySelector(%q)`, row("tenants/eu-017", ".lane .open"), row("tenants/*", ".plot .bad")))
		if over := eval[int](p, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			t.Errorf("%s: the page is %d pixels wider than the screen", v.name, over)
		}
		p.shot("dashboard-" + v.name)
		p.click("#tab-timeline")
		p.says("geo-lookup", "HTTP 502 from geo.internal")
		p.shot("timeline-" + v.name)
		p.click("#tab-breakers")
		p.click(row("payments", ".name"))
		p.says("payments has been open for", "History, newest first")
		p.shot("detail-" + v.name)
		p.click("#detail .close")
		p.click(row("payments", ".order"))
		p.click(`#order input[value=force-closed]`)
		p.choose(`#order input[name=actor]`, "ana")
		p.choose(`#order textarea[name=reason]`, "INC-42: false alarm, the vendor is up")
		p.shot("order-" + v.name)
		p.click(`#order button.quiet`)
	}
	p.screen(1440, 900, "light")
	p.click("#bulk")
	p.choose(`#order input[name=actor]`, "ana")
	p.choose(`#order input[name=id]`, "tenants/*")
	p.click(`#order input[value=force-open]`)
	p.choose(`#order textarea[name=reason]`, "INC-43: the shard is being moved")
	p.click(`#order button.main`)
	p.says("It would change 412 breakers")
	p.shot("bulk-desktop-light")
}
