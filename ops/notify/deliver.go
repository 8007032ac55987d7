package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	maxWaiting  = 1000 // notices that wait to be sent
	firstPause  = time.Second
	longPause   = 5 * time.Minute
	maxAfter    = time.Hour // that a Retry-After may ask for
	sendTimeout = 15 * time.Second
)

// delivery is the queue of notices and the goroutine that sends them. The
// goroutine runs only while there is something to send.
type delivery struct {
	o     *Options
	ctx   context.Context // done when the Notifier gives up
	flush chan struct{}   // closed by Close: what waits is sent at once

	mu      sync.Mutex // guards the fields below
	waiting []Notice
	dropped int           // dropped from waiting since the last request
	sending int           // notices in the current request
	done    chan struct{} // closed when the goroutine ends; nil if there is none
	last    time.Time     // when the last request began
	failing bool
}

// add queues a notice. It never waits.
func (d *delivery) add(n Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	if len(d.waiting) == maxWaiting {
		d.waiting = d.waiting[1:]
		d.dropped++
	}
	d.waiting = append(d.waiting, n)
	if d.done == nil {
		d.done = make(chan struct{})
		go d.run(d.done)
	}
}

func (d *delivery) run(done chan struct{}) {
	defer close(done)
	for wait := d.o.Wait; ; wait = 0 {
		if !d.pace(wait) {
			return
		}
		notices, leftOut := d.take()
		if len(notices) == 0 {
			return
		}
		body, err := d.o.body(notices, leftOut)
		if err != nil {
			d.note(err)
			continue
		}
		if !d.send(body) {
			return
		}
	}
}

// pace waits until a request may be sent: for more notices to go with it, and
// for Options.Every. It returns false if the Notifier has given up.
func (d *delivery) pace(wait time.Duration) bool {
	d.mu.Lock()
	if !d.last.IsZero() {
		wait = max(wait, time.Until(d.last.Add(d.o.Every)))
	}
	d.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.flush:
	case <-d.ctx.Done():
	}
	return d.ctx.Err() == nil
}

// take takes the notices for the next request. If there are none, the
// goroutine ends.
func (d *delivery) take() (notices []Notice, leftOut int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sending = min(len(d.waiting), d.o.Format.perRequest())
	if d.sending == 0 {
		d.done = nil
		return nil, 0
	}
	notices, d.waiting = d.waiting[:d.sending:d.sending], d.waiting[d.sending:]
	leftOut, d.dropped = d.dropped, 0
	d.last = time.Now()
	return notices, leftOut
}

// send delivers one body. It tries again until the body is accepted, or
// refused for good. It returns false if the Notifier has given up.
func (d *delivery) send(body []byte) bool {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		after, again, err := d.post(d.ctx, body)
		if d.ctx.Err() != nil {
			return false
		}
		d.note(err)
		if !again {
			return true
		}
		timer := time.NewTimer(max(after, pause/2+rand.N(pause/2)))
		select {
		case <-timer.C:
		case <-d.ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// post makes one request. again means that it may succeed later, after the
// wait that the receiver asks for.
func (d *delivery) post(ctx context.Context, body []byte) (after time.Duration, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.o.URL, bytes.NewReader(body))
	if err != nil {
		return 0, false, d.failure(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "switchgear")
	for k, v := range d.o.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	resp, err := d.o.Client.Do(req)
	if err != nil {
		return 0, true, d.failure(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return 0, false, nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return retryAfter(resp.Header.Get("Retry-After")), true, fmt.Errorf("notify: %s answers with status %d", d.o.host(), code)
	default:
		return 0, false, fmt.Errorf("notify: %s refuses with status %d, and what it was sent is lost", d.o.host(), code)
	}
}

// retryAfter reads a number of seconds or a date.
func retryAfter(text string) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), maxAfter)
}

// failure returns err without secrets: the text of a url.Error contains the
// URL.
func (d *delivery) failure(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return fmt.Errorf("notify: %s: %s", d.o.host(), d.o.hide(err.Error()))
}

// note reports a change between failing and working again.
func (d *delivery) note(err error) {
	d.mu.Lock()
	changed := d.failing != (err != nil)
	d.failing = err != nil
	if err == nil {
		d.sending = 0
	}
	d.mu.Unlock()
	if changed && d.o.Failed != nil {
		d.o.Failed(err)
	}
}

// drain sends what waits, without pauses, until ctx is done.
func (d *delivery) drain(ctx context.Context) {
	close(d.flush)
	d.mu.Lock()
	done := d.done
	d.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// left returns how many notices were not delivered.
func (d *delivery) left() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting) + d.sending
}

// shortKey returns key, or a hash of it if it is too long.
func shortKey(key string) string {
	if len(key) <= maxDedupKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
