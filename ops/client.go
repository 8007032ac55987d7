package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

// ErrUnreachable is matched by the error for a process that does not answer:
// it is gone, or stopped, or too busy.
var ErrUnreachable = errors.New("process does not answer")

// Client talks to the operations plane of another process. All methods may be
// called by many goroutines at once, and give up when their context is done.
// Without a deadline on the context, all methods except Events give up after
// ten seconds.
//
// On a unix socket the client talks only to a process of the user who owns the
// socket. It reads at most 16 MiB of an answer.
//
// An error is an *Error if the process refused. It matches ErrUnreachable if
// the process did not answer, or is not the expected one.
type Client struct {
	address   string
	base      string
	http      *http.Client
	impatient bool // does not wait for a process that is stopped
	// Header is sent with each request, such as a bearer token that the
	// program's mux requires. Set it before the first request.
	Header http.Header
}

const clientPatience = 10 * time.Second

// NewClient returns a client for the process at address: the path of its unix
// socket ("/run/switchgear/1234.sock"), its process id ("1234": the socket in
// this user's runtime dir), or the URL at which its handler is mounted
// ("https://host/ops/"). It does not connect yet.
func NewClient(address string) (*Client, error) {
	switch u, err := url.Parse(address); {
	case err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("ops: address %q: want a URL without user, query and fragment", u.Redacted())
		}
		return &Client{
			address: address, base: strings.TrimSuffix(address, "/"), Header: http.Header{},
			http: &http.Client{CheckRedirect: neverRedirect},
		}, nil
	case strings.ContainsRune(address, filepath.Separator) && !strings.Contains(address, "://"):
		return newSocketClient(address, anyone), nil
	}
	pid, err := strconv.Atoi(address)
	if err != nil || pid < 1 {
		return nil, fmt.Errorf("ops: address %q: want the path of a socket, the number of a process or a URL", address)
	}
	return newSocketClient(filepath.Join(defaultRuntimeDir(), socketFolder, address+".sock"), os.Geteuid()), nil
}

// newSocketClient returns a client that talks only to a process of user uid
// (anyone: of the user who owns the socket).
func newSocketClient(path string, uid int) *Client {
	c := &Client{address: path, base: socketBase, Header: http.Header{}}
	c.http = &http.Client{
		CheckRedirect: neverRedirect,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, path, uid, c.impatient)
			},
			MaxIdleConns:           4,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxReplyHeader,
		},
	}
	return c
}

const socketBase = "http://socket"

// neverRedirect: an operations plane never redirects, and another server must
// not choose where the next order goes.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Address returns the address that the client was created with. A process id
// has been replaced by the path of its socket.
func (c *Client) Address() string { return c.address }

// Close closes idle connections. The client can still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

const processPath = "/v1/process"

// Process returns a description of the process.
func (c *Client) Process(ctx context.Context) (p Process, err error) {
	room := int64(maxProcessReply)
	err = c.do(ctx, http.MethodGet, processPath, nil, nil, &p, &room)
	return p, err
}

// Overview returns the whole process on one page.
func (c *Client) Overview(ctx context.Context) (o Overview, err error) {
	err = c.get(ctx, "/v1/overview", nil, &o)
	return o, err
}

// maxStatus is how many breakers Status collects.
const maxStatus = 250_000

// Status returns breakers, sorted by id; those of ask.IDs come in the order
// given. It requests one page of up to 5,000 after the other, until it has all
// of them or ask.Limit. There may be at most 250,000.
func (c *Client) Status(ctx context.Context, ask StatusQuery) ([]Status, error) {
	q := url.Values{"id": ask.IDs}
	if ask.Match != "" {
		q.Set("match", ask.Match)
	}
	for _, s := range ask.States {
		q.Add("state", s.String())
	}
	if ask.Full {
		q.Set("full", "1")
	}
	all, room := []Status{}, int64(maxPages)
	for {
		if ask.Limit > 0 {
			q.Set("limit", strconv.Itoa(ask.Limit-len(all)))
		}
		var page struct {
			Breakers []Status `json:"breakers"`
			Next     string   `json:"next"`
		}
		if err := c.do(ctx, http.MethodGet, "/v1/status", q, nil, &page, &room); err != nil {
			return nil, err
		}
		all = append(all, page.Breakers...)
		switch {
		case page.Next == "" || ask.Limit > 0 && len(all) >= ask.Limit:
			return all, nil
		case len(page.Breakers) == 0 || len(all) > maxStatus:
			return nil, fmt.Errorf("ops: status of %s: more than %d breakers: ask for fewer, by name, state or limit", c.address, maxStatus)
		}
		q.Set("after", page.Next)
	}
}

// Explain says why the breakers with these ids are in their states.
func (c *Client) Explain(ctx context.Context, ids ...string) ([]Explanation, error) {
	var reply struct {
		Explanations []Explanation `json:"explanations"`
	}
	err := c.get(ctx, "/v1/explain", url.Values{"id": ids}, &reply)
	return reply.Explanations, err
}

// History returns the past transitions of the breakers with these ids.
func (c *Client) History(ctx context.Context, ids ...string) ([]History, error) {
	var reply struct {
		Histories []History `json:"histories"`
	}
	err := c.get(ctx, "/v1/history", url.Values{"id": ids}, &reply)
	return reply.Histories, err
}

// Timeline returns what happened since from, see Plane.Timeline.
func (c *Client) Timeline(ctx context.Context, from time.Time, ids ...string) (t Timeline, err error) {
	q := url.Values{"id": ids}
	if !from.IsZero() {
		q.Set("since", from.Format(time.RFC3339Nano))
	}
	err = c.get(ctx, "/v1/timeline", q, &t)
	return t, err
}

// Settings returns the settings in effect and those of the program, see
// Plane.Settings.
func (c *Client) Settings(ctx context.Context, ids ...string) (l SettingsList, err error) {
	err = c.get(ctx, "/v1/settings", url.Values{"id": ids}, &l)
	return l, err
}

// Plots returns how the calls of breakers and sets ended in the last minutes,
// or nothing if the process does not count calls.
func (c *Client) Plots(ctx context.Context, names ...string) ([]Plot, error) {
	var reply struct {
		Plots []Plot `json:"plots"`
	}
	err := c.get(ctx, "/v1/plots", url.Values{"name": names}, &reply)
	return reply.Plots, err
}

// Orders returns the newest orders that the process carried out, oldest first.
func (c *Client) Orders(ctx context.Context) ([]Event, error) {
	var reply struct {
		Orders []Event `json:"orders"`
	}
	err := c.get(ctx, "/v1/orders", nil, &reply)
	return reply.Orders, err
}

// Order gives an order, after checking it locally. An error that matches
// ErrUnreachable says whether the order may have been carried out
// nevertheless.
func (c *Client) Order(ctx context.Context, o Order) (r Receipt, err error) {
	if err := o.Check(); err != nil {
		return r, err
	}
	if !utf8.ValidString(o.ID) {
		return r, bad("the id %q is not UTF-8, which JSON cannot carry", o.ID)
	}
	body, err := json.Marshal(o)
	if err != nil {
		return r, fmt.Errorf("%w: %w", breaker.ErrOrder, err)
	}
	room := int64(maxReply)
	err = c.do(ctx, http.MethodPost, "/v1/orders", nil, body, &r, &room)
	var dial *net.OpError
	unsent := errors.As(err, &dial) && dial.Op == "dial"
	if errors.Is(err, ErrUnreachable) && !o.DryRun && !unsent {
		err = fmt.Errorf("%w; the order was sent and may yet be carried out", err)
	}
	return r, err
}

// Attached sends a request to what was attached under name (see Plane.Attach): a GET
// of v1/NAME and path, or a POST of body, if that is not nil. It decodes the answer
// into into.
func (c *Client) Attached(ctx context.Context, name, path string, q url.Values, body []byte, into any) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	room := int64(maxReply)
	return c.do(ctx, method, "/v1/"+name+path, q, body, into, &room)
}

// Metrics returns the metrics in the Prometheus text format.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	var text string
	err := c.get(ctx, "/metrics", nil, &text)
	return text, err
}

// How much of an answer is read. A plane's answers are much smaller (see
// maxPage and maxListed), but the other side may be any program.
const (
	maxReply        = 16 << 20
	maxProcessReply = 64 << 10 // requested from each process that is found
	maxReplyHeader  = 64 << 10
	maxPages        = 128 << 20 // all pages of a status
)

// errTooLarge is the error for an answer that is larger than that.
var errTooLarge = errors.New("the answer is too large")

// limited is a reader that stops with errTooLarge after a number of bytes.
type limited struct {
	r    io.Reader
	room *int64
}

func (l limited) Read(p []byte) (int, error) {
	if *l.room <= 0 {
		return 0, errTooLarge
	}
	n, err := l.r.Read(p[:min(int64(len(p)), *l.room)])
	*l.room -= int64(n)
	return n, err
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	room := int64(maxReply)
	return c.do(ctx, http.MethodGet, path, q, nil, into, &room)
}

// do makes a request and reads an answer of limited size.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body []byte, into any, room *int64) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clientPatience)
		defer cancel()
	}
	req, err := c.request(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	reply := limited{resp.Body, room}
	if text, ok := into.(*string); ok {
		var all []byte
		all, err = io.ReadAll(reply)
		*text = string(all)
	} else {
		err = json.NewDecoder(reply).Decode(into)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return c.unreachable(ctx, err)
	case err != nil:
		return fmt.Errorf("ops: %s %s of %s: %w", method, path, c.address, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Request, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ops: %w", err)
	}
	for k, v := range c.Header {
		req.Header[k] = v
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// unreachable explains in plain words why there is no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	why := err
	var outer *url.Error
	if errors.As(err, &outer) {
		why = outer.Err
	}
	said := why.Error()
	switch {
	case errors.Is(err, os.ErrNotExist):
		said = "there is no such socket"
	case errors.Is(err, errUntrusted), errors.Is(err, errStopped):
		var dial *net.OpError
		if errors.As(err, &dial) {
			said = dial.Err.Error()
		}
	case errors.Is(err, syscall.ECONNREFUSED) && c.base == socketBase:
		said = "the process is gone and left its socket"
	case errors.Is(err, os.ErrPermission):
		said = "the socket belongs to another user"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		said = "no answer in time: it may be stopped"
	}
	return fmt.Errorf("%w: %s: %s%w", ErrUnreachable, c.address, said, hidden{err})
}

// hidden is an error that errors.Is finds, but that adds nothing to the text.
type hidden struct{ error }

func (h hidden) Error() string { return "" }
func (h hidden) Unwrap() error { return h.error }

// refusal returns the error for an answer that is not a success.
func (c *Client) refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	var reply struct {
		Error *Error `json:"error"`
	}
	if err == nil && json.Unmarshal(text, &reply) == nil && reply.Error != nil {
		reply.Error.Status = resp.StatusCode
		return reply.Error
	}
	return &Error{Code: "http", Status: resp.StatusCode, Message: fmt.Sprintf("%s answers %s: is it a switchgear handler?", c.address, resp.Status)}
}
