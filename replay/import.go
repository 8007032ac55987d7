package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// ImportOptions say how to read data that Switchgear has not recorded.
type ImportOptions struct {
	// Format is "sgr", "csv", "jsonl", "otlp", "nginx" or "envoy". Default: "nginx"
	// if LogFormat is set, else by what the data begins with.
	Format string
	// Name is the breaker's; calls that have a key belong to Name/key. Default
	// "imported".
	Name string
	// LogFormat is the log_format of nginx, which may begin with "combined".
	// Default: NginxFormat.
	LogFormat string
	// Failure are the HTTP statuses that are failures: "5xx", "429", and so on.
	// Default "5xx". Calls without an answer are failures anyway.
	Failure []string
	// Settings are those to compare with. Default: the defaults.
	Settings breaker.Settings
	// Progress, when set, is called by ImportFile with the share of the file that
	// has been read.
	Progress func(done float64)
}

// NginxFormat is the default for ImportOptions.LogFormat.
const NginxFormat = "$msec $upstream_response_time $upstream_status $upstream_addr"

// Formats are the values of ImportOptions.Format.
var Formats = []string{"sgr", "csv", "jsonl", "otlp", "nginx", "envoy"}

// ErrImport means that data is not in the format that it should have.
var ErrImport = errors.New("not in this format")

// ErrTooMany means that data holds more calls than are kept in memory: 50 million,
// which take 1.2 GB, and up to four times that while they are read. The calls of
// a .sgr file that Open reads are not kept.
var ErrTooMany = errors.New("more calls than are kept in memory")

// mostKept is how many that are.
var mostKept uint64 = 50_000_000

func tooMany() error {
	return fmt.Errorf("%w: more than %d, want fewer, or a .sgr file, whose calls are not kept; files that \"switchgear record --from\" has made of parts of the data can be appended to each other", ErrTooMany, mostKept)
}

// Import reads calls from a recording, or from data of another origin. Lines that
// cannot be read are counted in Trace.Notes, together with what the data cannot
// show: an imported trace has no transitions, so Verify has nothing to say. The
// calls are kept in memory, up to the limit of ErrTooMany.
func Import(r io.Reader, o ImportOptions) (*Trace, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	head, _ := b.Peek(1 << 12)
	if bytes.HasPrefix(head, []byte(compressed)) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, badGzip(err)
		}
		// Not by Import: what is compressed may be compressed without end.
		b = bufio.NewReaderSize(unpacked{z}, 1<<16)
		head, _ = b.Peek(1 << 12)
	}
	if bytes.HasPrefix(head, []byte(byteOrderMark)) {
		_, _ = b.Discard(len(byteOrderMark))
	}
	if o.Format == "" {
		o.Format = o.guess(head)
	}
	if o.Name == "" {
		o.Name = "imported"
	}
	if err := breaker.ValidateName(o.Name); err != nil {
		return nil, err
	}
	if err := o.Settings.Validate(); err != nil {
		return nil, err
	}
	if o.LogFormat == "" {
		o.LogFormat = NginxFormat
	}
	if o.Failure == nil {
		o.Failure = []string{"5xx"}
	}
	for _, f := range o.Failure {
		if !validStatus(f) {
			return nil, fmt.Errorf("replay: the failure status %q, want a status or a class, such as 429 or 5xx", f)
		}
	}
	im := &importer{o: o, keys: map[string]*Lane{}, coarse: time.Hour}
	var read func(io.Reader) error
	switch o.Format {
	case "sgr":
		return Read(b)
	case "csv":
		read = im.csv
	case "jsonl":
		read = im.jsonLines
	case "otlp":
		read = im.otlp
	case "nginx":
		read = im.nginx
	case "envoy":
		read = im.envoy
	default:
		return nil, fmt.Errorf("replay: the format %q, want one of %s", o.Format, strings.Join(Formats, ", "))
	}
	err := read(&untilFull{b, im})
	switch {
	case im.count > mostKept:
		return nil, tooMany()
	case err != nil:
		return nil, err
	}
	return im.trace()
}

// unpacked is a reader of compressed data.
type unpacked struct{ z *gzip.Reader }

func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badGzip(err)
	}
	return n, err
}

// badGzip is the error for compressed data that cannot be read. It may be the
// file's.
func badGzip(err error) error {
	if errors.As(err, new(*os.PathError)) {
		return failedRead(err)
	}
	return fmt.Errorf("%w: the compressed data is cut or damaged: %w", ErrImport, err)
}

// failedRead is the error for data of which no more can be read.
func failedRead(err error) error {
	if errors.Is(err, ErrImport) {
		return err
	}
	return fmt.Errorf("replay: %w", err)
}

// untilFull is a reader that ends with an error once too many calls have been read.
type untilFull struct {
	io.Reader
	im *importer
}

func (r *untilFull) Read(p []byte) (int, error) {
	if r.im.count > mostKept {
		return 0, ErrTooMany
	}
	return r.Reader.Read(p)
}

// counted is a reader that reports how far it is.
type counted struct {
	io.Reader
	n, size  int64
	progress func(float64)
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	r.progress(min(1, float64(r.n)/float64(r.size)))
	return n, err
}

// ImportFile is Import for a file. It does not keep the calls of a .sgr file, see
// Open.
func ImportFile(name string, o ImportOptions) (*Trace, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if o.Format == "" {
		head := make([]byte, 1<<12)
		n, err := io.ReadFull(f, head)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		o.Format = o.guess(head[:n])
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			// It is not a file that can be read again.
			return Import(io.MultiReader(bytes.NewReader(head[:n]), f), o)
		}
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if o.Format == "sgr" {
			return open(name, o.Progress)
		}
		if o.Progress != nil && info.Size() > 0 {
			return Import(&counted{Reader: f, size: info.Size(), progress: o.Progress}, o)
		}
	}
	return Import(f, o)
}

const (
	compressed    = "\x1f\x8b" // what data begins with that gzip has written
	byteOrderMark = "\ufeff"   // what some programs write before UTF-8
)

// guess returns the format of data that begins like this, or "" if it is
// compressed.
func (o *ImportOptions) guess(head []byte) string {
	if bytes.HasPrefix(head, []byte(compressed)) {
		return ""
	}
	if o.LogFormat != "" {
		return "nginx"
	}
	line, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte(byteOrderMark)), []byte("\n"))
	first := string(bytes.TrimSpace(line))
	switch {
	case bytes.HasPrefix(head, []byte(magic[:4])), strings.HasPrefix(magic, string(head)): // or empty
		return "sgr"
	case bytes.Contains(head, []byte(`"resourceSpans"`)):
		return "otlp"
	// Not only in the first line: a container's log has others, too.
	case bytes.Contains(head, []byte(`"response_flags"`)), envoyStart.Match(head), strings.HasPrefix(first, "["):
		return "envoy"
	case strings.HasPrefix(first, "{"):
		return "jsonl"
	case strings.Contains(first, ","), strings.HasPrefix(first, "at"):
		if fields := strings.Fields(first); len(fields) > 1 && !strings.Contains(fields[0], ",") {
			return "nginx" // several upstreams
		}
		return "csv"
	default:
		return "nginx"
	}
}

// importer collects calls.
type importer struct {
	o        ImportOptions
	keys     map[string]*Lane
	lanes    []*Lane // their calls' times are nanoseconds since 1970
	count    uint64  // of calls
	bad      int     // lines that could not be read
	firstBad string  // why, of the first
	coarse   time.Duration
	notes    []string
}

// mostKeys is the number of keys that are distinguished.
const mostKeys = 10_000

func (im *importer) add(began time.Time, took time.Duration, o breaker.Outcome, rejected bool, key string) {
	im.count++
	l, ok := im.keys[key]
	if !ok {
		if len(im.lanes) >= mostKeys {
			key = "other"
		}
		if l, ok = im.keys[key]; !ok {
			l = &Lane{ID: im.o.Name, Settings: im.o.Settings.WithDefaults(), Fresh: true, stepBase: new(time.Duration)}
			if key != "" {
				l.ID += "/" + key
			}
			im.keys[key] = l
			im.lanes = append(im.lanes, l)
			if len(im.lanes) > mostKeys {
				im.notes = append(im.notes, fmt.Sprintf("there are more than %d keys; those after them are one, called other", mostKeys))
			}
		}
	}
	c := tape.Call{Began: time.Duration(began.UnixNano()), What: tape.Is(uint8(o), tape.Whole, 0).Of(1)}
	c.Ended = c.Began + took
	if rejected {
		c.What = tape.Many(1).Of(1)
		c.Ended = max(c.Ended, c.Began+1)
	}
	l.calls = append(l.calls, c)
}

// dated notes how fine a time is that the data has. The finest of all counts.
func (im *importer) dated(at time.Time) {
	for im.coarse > time.Microsecond && at.UnixNano()%int64(im.coarse) != 0 {
		im.coarse /= 10
		if im.coarse > time.Second {
			im.coarse = time.Second
		}
	}
}

// skip counts a line that cannot be read.
func (im *importer) skip(line int, format string, args ...any) {
	if im.bad++; im.bad == 1 {
		im.firstBad = fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...)
	}
}

// trace makes a Trace of the calls.
func (im *importer) trace() (*Trace, error) {
	if im.count == 0 {
		if im.bad > 0 {
			hint := ""
			if im.o.Format == "nginx" && im.o.LogFormat == NginxFormat { // perhaps only because it looks like nothing else
				hint = "; give its log_format, or its format if nginx has not written it"
			}
			return nil, fmt.Errorf("%w (%s): %s%s", ErrImport, im.o.Format, im.firstBad, hint)
		}
		return nil, fmt.Errorf("%w (%s): it holds no calls", ErrImport, im.o.Format)
	}
	first, last := time.Duration(math.MaxInt64), time.Duration(0)
	for _, l := range im.lanes {
		for i := range l.calls {
			first, last = min(first, l.calls[i].Began), max(last, l.calls[i].Ended)
		}
	}
	base := first - time.Second
	if last-base > maxTime {
		return nil, fmt.Errorf("%w (%s): its calls are %v apart, want at most %v", ErrImport, im.o.Format, last-first, maxTime)
	}
	t := &Trace{Header: Header{Version: version, Base: time.Unix(0, int64(base)).UTC()}, Source: im.o.Format, Complete: true, Notes: im.notes, Breakers: im.lanes}
	t.Began, t.Ended = t.at(first-base), t.at(last-base)
	for _, l := range im.lanes {
		for i := range l.calls {
			l.calls[i].Began -= base
			l.calls[i].Ended -= base
		}
	}
	if im.bad > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%s could not be read; the first is %s", plural(im.bad, "line"), im.firstBad))
	}
	if im.coarse >= time.Millisecond && im.count > 1 {
		t.Notes = append(t.Notes, fmt.Sprintf("the times have steps of %v: in which order the calls of one step came is not known, and rules that count consecutive failures depend on it", im.coarse))
	}
	t.Notes = append(t.Notes, "the data has no settings; \"as recorded\" stands for "+cmp.Or(im.o.Settings.String(), "the defaults"))
	t.finish()
	return t, nil
}

// validStatus reports whether a status or a class of them is one.
func validStatus(s string) bool {
	return len(s) == 3 && s[0] >= '1' && s[0] <= '5' && (strings.ToLower(s[1:]) == "xx" || s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9')
}

// status judges an HTTP status.
func (im *importer) status(s string) (breaker.Outcome, bool) {
	if !validStatus(s) || strings.ContainsAny(s, "xX") {
		return 0, false
	}
	for _, f := range im.o.Failure {
		if f == s || strings.EqualFold(f[1:], "xx") && f[0] == s[0] {
			return breaker.Failure, true
		}
	}
	if s == "499" { // nginx: the client went away
		return breaker.Canceled, true
	}
	return breaker.Success, true
}

// outcome reads the word for how a call ended: a word, or an HTTP status.
func (im *importer) outcome(s string) (o breaker.Outcome, rejected, ok bool) {
	switch strings.ToLower(s) {
	case "success", "ok", "true":
		return breaker.Success, false, true
	case "failure", "failed", "fail", "error", "timeout", "false":
		return breaker.Failure, false, true
	case "ignored", "ignore":
		return breaker.Ignored, false, true
	case "canceled", "cancelled":
		return breaker.Canceled, false, true
	case "rejected":
		return breaker.Ignored, true, true
	}
	o, ok = im.status(s)
	return o, false, ok
}

// parseAt reads a time: RFC 3339, or a number of seconds, milliseconds,
// microseconds or nanoseconds since 1970, which its size distinguishes.
func parseAt(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return plausible(t)
	}
	if t, err := time.Parse("2006-01-02 15:04:05.999999999", s); err == nil {
		return plausible(t)
	}
	whole, part, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || len(part) > 9 || strings.Trim(part, "0123456789") != "" {
		return time.Time{}, false
	}
	frac, _ := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	switch {
	case n < 1e11:
		return plausible(time.Unix(n, frac).UTC())
	case n < 1e14:
		return plausible(time.UnixMilli(n).Add(time.Duration(frac / 1000)).UTC())
	case n < 1e17:
		return plausible(time.UnixMicro(n).UTC())
	default:
		return plausible(time.Unix(0, n).UTC())
	}
}

// plausible reports whether calls may have been recorded then.
func plausible(t time.Time) (time.Time, bool) {
	return t, t.Year() >= 1970 && t.Year() < 2200
}

// parseTook reads a time that a call took: a duration such as "12ms", or seconds.
func parseTook(s string) (time.Duration, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, d >= 0 && d < maxTime
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0) || f > maxTime.Seconds() {
		return 0, false
	}
	return time.Duration(math.Round(f * float64(time.Second))), true
}

// mostLine is the length of the longest line that is read.
const mostLine = 16 << 20

// lines calls f with each line that is not blank.
func (im *importer) lines(r io.Reader, f func(n int, line string)) error {
	b := bufio.NewReaderSize(r, 1<<16)
	var line []byte
	for n := 1; ; n++ {
		var err error
		line, err = readLine(b, line[:0])
		if err != nil && !errors.Is(err, io.EOF) {
			return failedRead(err)
		}
		if len(line) > mostLine {
			im.skip(n, "it is longer than %d MiB", mostLine>>20)
		} else if text := strings.TrimRight(string(line), "\r\n"); strings.TrimSpace(text) != "" {
			f(n, text)
		}
		if err != nil {
			return nil
		}
	}
}

// readLine appends the next line to buf. Of a line that is longer than mostLine it
// keeps little more than that.
func readLine(b *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := b.ReadSlice('\n')
		if len(buf) <= mostLine {
			buf = append(buf, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, err
		}
	}
}

// jsonLines reads lines of JSON with the fields at, took, outcome and key.
func (im *importer) jsonLines(r io.Reader) error {
	return im.lines(r, func(n int, line string) {
		var x struct {
			At, Took, Outcome, Key json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			im.skip(n, "%v", err)
			return
		}
		im.row(n, rawText(x.At), rawText(x.Took), rawText(x.Outcome), rawText(x.Key))
	})
}

// rawText returns a JSON string without its quotes, and everything else as it is.
func rawText(m json.RawMessage) string {
	var s string
	if json.Unmarshal(m, &s) == nil {
		return s
	}
	return string(m)
}

// row adds a call from its texts.
func (im *importer) row(n int, at, took, outcome, key string) {
	t, ok := parseAt(at)
	if !ok {
		im.skip(n, "got at %q, want RFC 3339 or a number of seconds since 1970", at)
		return
	}
	d, ok := parseTook(took)
	if !ok {
		im.skip(n, "got took %q, want a duration such as 12ms, or seconds", took)
		return
	}
	o, rejected, ok := im.outcome(outcome)
	if !ok {
		im.skip(n, "got outcome %q, want success, failure, ignored, canceled, rejected or an HTTP status", outcome)
		return
	}
	im.dated(t)
	im.add(t, d, o, rejected, key)
}
