package ops

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
)

// Events yields what happens from now on, or what followed the event whose
// StreamID is after. It ends when ctx is done or the connection breaks; the
// error is the last thing yielded. Call it again with the StreamID of the last
// event, and no event is missed that the process still keeps.
func (c *Client) Events(ctx context.Context, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		req, err := c.request(ctx, http.MethodGet, "/v1/events", nil, nil)
		if err != nil {
			yield(Event{}, err)
			return
		}
		if after != "" {
			req.Header.Set("Last-Event-ID", after)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			yield(Event{}, c.unreachable(ctx, err))
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			yield(Event{}, c.refusal(resp))
			return
		}
		c.read(ctx, resp.Body, yield)
	}
}

// maxEvent is the longest line of an event that is read.
const maxEvent = 1 << 20

func (c *Client) read(ctx context.Context, body io.Reader, yield func(Event, error) bool) {
	scan := bufio.NewScanner(body)
	scan.Buffer(nil, maxEvent)
	var e Event
	alive := false
	for scan.Scan() {
		field, value, _ := strings.Cut(scan.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.StreamID = value
		case "event":
			alive = value == "alive" // a keep-alive, for pages
		case "data":
			if alive {
				continue
			}
			e = Event{StreamID: e.StreamID}
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				yield(e, fmt.Errorf("ops: event %s of %s: %w", e.StreamID, c.address, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
	yield(Event{}, c.unreachable(ctx, cmp.Or(scan.Err(), io.ErrUnexpectedEOF)))
}
