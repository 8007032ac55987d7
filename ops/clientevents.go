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

// Events yields what happens from now on, or from the event with the id after
// on, with the id of each, until ctx ends or the connection does; the error
// then is the last thing yielded. Begin again with the last id to miss nothing
// that the process still has.
func (c *Client) Events(ctx context.Context, after string) iter.Seq2[EventWithID, error] {
	return func(yield func(EventWithID, error) bool) {
		req, err := c.request(ctx, http.MethodGet, "/v1/events", nil, nil)
		if err != nil {
			yield(EventWithID{}, err)
			return
		}
		if after != "" {
			req.Header.Set("Last-Event-ID", after)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			yield(EventWithID{}, c.unreachable(ctx, err))
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			yield(EventWithID{}, c.refusal(resp))
			return
		}
		c.read(ctx, resp.Body, yield)
	}
}

// EventWithID is an event with its name in the stream.
type EventWithID struct {
	Event
	StreamID string
}

// maxEvent is the longest line of an event that is read.
const maxEvent = 1 << 20

func (c *Client) read(ctx context.Context, body io.Reader, yield func(EventWithID, error) bool) {
	scan := bufio.NewScanner(body)
	scan.Buffer(nil, maxEvent)
	var e EventWithID
	alive := false
	for scan.Scan() {
		field, value, _ := strings.Cut(scan.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.StreamID = value
		case "event":
			alive = value == "alive" // a sign of life, for pages
		case "data":
			if alive {
				continue
			}
			e.Event = Event{}
			if err := json.Unmarshal([]byte(value), &e.Event); err != nil {
				yield(e, fmt.Errorf("ops: event %s of %s: %w", e.StreamID, c.address, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
	yield(EventWithID{}, c.unreachable(ctx, cmp.Or(scan.Err(), io.ErrUnexpectedEOF)))
}
