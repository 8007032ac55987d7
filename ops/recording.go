package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/switchgear-go/switchgear/replay"
)

// maxRecording is the longest recording that can be asked for.
const maxRecording = 24 * time.Hour

// getRecording answers with a recording of calls: what Options.Recorder holds, or
// with for=10m all calls from now on. It is for the user of the process alone:
// a recording costs each call some 60 ns, and shows what a program does.
func (e *endpoint) getRecording(w http.ResponseWriter, r *http.Request) error {
	if !e.socket {
		return refuse(http.StatusForbidden, "refused", "recordings are given at the socket of the process only")
	}
	var d time.Duration
	if text := r.URL.Query().Get("for"); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil || d <= 0 || d > maxRecording {
			return refuse(http.StatusBadRequest, "request", "for=%q, want a time above 0 and up to %s, such as 10m", cut(text, 50), maxRecording)
		}
	}
	rec := e.o.Recorder
	if rec == nil {
		if d == 0 {
			return refuse(http.StatusConflict, "recording", "the process keeps no recording; ask for one of calls to come, with for=10m, say")
		}
		var err error
		if rec, err = replay.Record(e.m, replay.Options{Program: e.o.Service}); err != nil {
			return refuse(http.StatusConflict, "recording", "%v", err)
		}
		defer rec.Close()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	e.noteRecording(r, "begins", d)
	out := flushing{w, http.NewResponseController(w)}
	if d == 0 {
		_, _ = rec.WriteTo(out) // the other side is gone, and sees that it has no end
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	_ = out.control.Flush() // the other side knows now that it has begun
	_ = rec.Stream(ctx, out)
	e.noteRecording(r, "has ended", 0)
	return nil
}

// noteRecording puts on the timeline and into the audit log that calls are
// recorded, and for whom.
func (e *endpoint) noteRecording(r *http.Request, what string, d time.Duration) {
	text := "a recording of calls " + what
	if d > 0 {
		text += fmt.Sprintf(", for %s", d)
	}
	if by := peerOf(r); by.UID != nil {
		text += fmt.Sprintf(", asked for by user %d, process %d", *by.UID, by.PID)
	}
	e.Report("", text)
	e.audit.notice(Order{}, text)
}

// flushing sends what is written at once.
type flushing struct {
	w       io.Writer
	control *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// Record asks the process for a recording of its calls, as package replay reads
// it, and copies it to w: the calls of the next d, or with 0 those that its
// recorder holds, see Options.Recorder. It works at a socket only. The error may
// be that of w.
func (c *Client) Record(ctx context.Context, d time.Duration, w io.Writer) (int64, error) {
	q := url.Values{}
	if d > 0 {
		q.Set("for", d.String())
	}
	req, err := c.request(ctx, http.MethodGet, "/v1/recording", q, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, c.refusal(resp)
	}
	body := &readError{r: resp.Body}
	n, err := io.Copy(w, body)
	if err != nil && body.err != nil {
		err = c.unreachable(ctx, err)
	}
	return n, err
}

// readError keeps the error of a reader, to distinguish it from a writer's.
type readError struct {
	r   io.Reader
	err error
}

func (r *readError) Read(p []byte) (n int, err error) {
	n, err = r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
