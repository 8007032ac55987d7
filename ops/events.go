package ops

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	eventBatch   = 256                          // events written at a time
	heartbeat    = 5 * time.Second              // time between keep-alives
	streamWrite  = 10 * time.Second             // a reader that takes nothing for this long is dropped
	heartbeatSSE = "event: alive\ndata: {}\n\n" // an event, because pages do not see comments
)

// getEvents streams events as server-sent events until the reader disconnects
// or the plane is closed. A reader that reconnects with Last-Event-ID
// continues where it was, or finds a gap.
func (e *endpoint) getEvents(w http.ResponseWriter, r *http.Request) error {
	leave, err := e.follow(r)
	if err != nil {
		return err
	}
	defer leave()
	s := stream{w: w, control: http.NewResponseController(w), plane: e.Plane}
	s.from(r)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // otherwise nginx would buffer the events
	if s.write([]byte("retry: 2000\n\n")) != nil {
		return nil
	}
	s.run(r.Context().Done())
	return nil
}

// stream is one reader's place in the events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	plane   *Plane
	streamPlace
}

// from returns where the reader wants to start: after the event of
// Last-Event-ID (or of ?after=, for readers that cannot set headers), or else
// now.
func (s *stream) from(r *http.Request) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("after")
	}
	s.streamPlace = s.plane.placeOf(id)
}

func (s *stream) run(gone <-chan struct{}) {
	if s.stale && s.send([]Event{{Seq: s.seq, At: time.Now(), Kind: EventGap}}) != nil {
		return
	}
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		events, wait := s.plane.hub.after(s.seq, eventBatch)
		if len(events) > 0 {
			if s.send(events) != nil {
				return
			}
			continue
		}
		if wait == nil {
			return // the plane is closed
		}
		select {
		case <-wait:
		case <-gone:
			return
		case <-alive.C:
			if s.write([]byte(heartbeatSSE)) != nil {
				return
			}
		}
	}
}

func (s *stream) send(events []Event) error {
	var text []byte
	for i := range events {
		data, err := json.Marshal(&events[i])
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "id: %s\nevent: %s\ndata: %s\n\n", s.plane.eventID(events[i].Seq), events[i].Kind, data)
	}
	s.seq = events[len(events)-1].Seq
	return s.write(text)
}

// write gives the reader a limited time. If the server cannot do that, its own
// WriteTimeout is the limit.
func (s *stream) write(text []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.control.Flush()
}
