package notify

import (
	"bytes"
	"cmp"
	"context"
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
	mostWaiting = 1000 // notices that wait to be sent
	mostAtOnce  = 50   // notices of one request
	firstPause  = time.Second
	longPause   = 5 * time.Minute
	sendTimeout = 15 * time.Second
)

// delivery is the queue of notices, and the goroutine that sends them. The
// goroutine lives while there is something to send.
type delivery struct {
	o      *Options
	url    string
	client *http.Client
	ctx    context.Context // ends with the Notifier

	mu      sync.Mutex // guards the fields below
	waiting []Notice
	dropped int
	running bool
	last    time.Time // when the last request began
	done    chan struct{}
	problem string // of the newest request; "": it was delivered
}

// add queues a notice.
func (d *delivery) add(n Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	if len(d.waiting) >= mostWaiting {
		d.waiting = append(d.waiting[:0], d.waiting[1:]...)
		d.dropped++
	}
	d.waiting = append(d.waiting, n)
	if !d.running {
		d.running = true
		d.done = make(chan struct{})
		go d.run()
	}
}

// take waits until a request may go, and takes what it is to carry; false when
// nothing is left, or the Notifier is closed.
func (d *delivery) take() (notices []Notice, leftOut int, ok bool) {
	d.mu.Lock()
	wait := d.o.Wait
	if !d.last.IsZero() {
		wait = max(wait, time.Until(d.last.Add(d.o.Every)))
	}
	empty := len(d.waiting) == 0
	if empty {
		d.running = false
		close(d.done)
	}
	d.mu.Unlock()
	if empty || !d.pause(wait) {
		return nil, 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	// The newest matter most; what has no room is counted.
	leftOut = d.dropped + max(0, len(d.waiting)-mostAtOnce)
	notices = d.waiting[max(0, len(d.waiting)-mostAtOnce):]
	d.waiting, d.dropped = nil, 0
	d.last = time.Now()
	return notices, leftOut, true
}

func (d *delivery) run() {
	for {
		notices, leftOut, ok := d.take()
		if !ok {
			return
		}
		bodies, err := d.o.bodies(notices, leftOut)
		if err != nil {
			d.note(err)
			continue
		}
		for _, body := range bodies {
			if !d.send(body) {
				return
			}
		}
	}
}

// send delivers one body, trying again until it is delivered or refused for
// good. It reports false when the Notifier is closed.
func (d *delivery) send(body []byte) bool {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		after, again, err := d.post(body)
		d.note(err)
		if !again {
			return d.ctx.Err() == nil
		}
		wait := max(after, pause/2+rand.N(pause))
		if !d.pause(min(wait, longPause)) {
			return false
		}
	}
}

func (d *delivery) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// post makes one request. again says that it may succeed later, and after is
// what the receiver asks for.
func (d *delivery) post(body []byte) (after time.Duration, again bool, err error) {
	ctx, cancel := context.WithTimeout(d.ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0, false, errors.New("the request could not be made") // its own text has the URL
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range d.o.Header {
		req.Header[k] = v
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, true, withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch {
	case resp.StatusCode < 300:
		return 0, false, nil
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 when it is a date or missing
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second, true, fmt.Errorf("the receiver answers %d", resp.StatusCode)
	}
	return 0, false, fmt.Errorf("the receiver refuses with %d", resp.StatusCode)
}

// withoutURL is the reason in a url.Error alone: its own text has the URL, which
// is a secret.
func withoutURL(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// note reports a change between working and failing.
func (d *delivery) note(err error) {
	text := ""
	if err != nil && d.ctx.Err() == nil {
		text = cmp.Or(err.Error(), "unknown error")
	}
	d.mu.Lock()
	changed := text != d.problem
	d.problem = text
	d.mu.Unlock()
	if changed && d.o.Failed != nil {
		if text == "" {
			d.o.Failed(nil)
		} else {
			d.o.Failed(fmt.Errorf("notify %s: %s", d.o.host(), text))
		}
	}
}

// drain waits until all is sent, or ctx ends.
func (d *delivery) drain(ctx context.Context) {
	d.mu.Lock()
	running, done := d.running, d.done
	d.mu.Unlock()
	if !running {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
