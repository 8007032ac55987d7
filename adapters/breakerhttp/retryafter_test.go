package breakerhttp_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{" 120 ", 2 * time.Minute, true},
		{"007", 7 * time.Second, true},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1.5", 0, false},
		{"1e3", 0, false},
		{"soon", 0, false},
		{"99999999999999999999999999", math.MaxInt64, true},
		{"9223372036854775807", math.MaxInt64, true},
		{"9223372036", 9223372036 * time.Second, true},
		{"9223372037", math.MaxInt64, true},
		{"Mon, 23 Nov 2026 12:00:30 GMT", 30 * time.Second, true},
		{"Monday, 23-Nov-26 12:00:30 GMT", 30 * time.Second, true},
		{"Mon Nov 23 12:00:30 2026", 30 * time.Second, true},
		{"Mon, 23 Nov 2026 11:00:00 GMT", 0, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", math.MaxInt64, true},
		{"Mon, 23 Nov 2026 12:00:30 PST", 0, false},
		{"2026-11-23T12:00:30Z", 0, false},
	} {
		h := http.Header{}
		h.Set("Retry-After", test.text)
		if got, ok := breakerhttp.RetryAfter(h, now); got != test.want || ok != test.ok {
			t.Errorf("%q: %s, %t, want %s, %t", test.text, got, ok, test.want, test.ok)
		}
	}
	if _, ok := breakerhttp.RetryAfter(nil, now); ok {
		t.Error("no header at all has a Retry-After")
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "30", "Mon, 23 Nov 2026 12:00:30 GMT", "99999999999999999999"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := breakerhttp.RetryAfter(http.Header{"Retry-After": {text}}, now)
		if d < 0 || !ok && d != 0 {
			t.Errorf("%q: %s, %t", text, d, ok)
		}
	})
}

func TestStatusError(t *testing.T) {
	for code, want := range map[int]string{503: "503 Service Unavailable", 599: "status 599"} {
		if got := (&breakerhttp.StatusError{Code: code}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
