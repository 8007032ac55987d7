package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// csv reads rows with the columns at, took, outcome and perhaps key, in any order,
// named by the first row; without names, in this order. A row is a line: a quote
// that is not closed does not swallow the rows that follow.
func (im *importer) csv(r io.Reader) error {
	column := map[string]int{"at": 0, "took": 1, "outcome": 2, "key": 3}
	first := true
	var failed error
	err := im.lines(r, func(n int, line string) {
		row, err := csvRow(line)
		if err != nil {
			im.skip(n, "%v", err)
			return
		}
		if first && slices.ContainsFunc(row, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "outcome") }) {
			column = map[string]int{}
			for i, name := range row {
				column[strings.ToLower(strings.TrimSpace(name))] = i
			}
			for _, name := range []string{"at", "took", "outcome"} {
				if _, ok := column[name]; !ok {
					failed = fmt.Errorf("%w (csv): its columns are %s, want at, took, outcome and perhaps key", ErrImport, strings.Join(row, ", "))
				}
			}
			first = false
			return
		}
		first = false
		get := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		im.row(n, get("at"), get("took"), get("outcome"), get("key"))
	})
	return cmp.Or(failed, err)
}

// csvRow returns the fields of a line.
func csvRow(line string) ([]string, error) {
	if !strings.Contains(line, `"`) {
		return strings.Split(line, ","), nil
	}
	c := csv.NewReader(strings.NewReader(line))
	c.TrimLeadingSpace = true
	row, err := c.Read()
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		err = bad.Err // without the number of the line, which is always 1
	}
	return row, err
}

// otlpTraces is what the file exporter of OpenTelemetry writes, as far as it
// matters here.
type otlpTraces struct {
	ResourceSpans []struct {
		ScopeSpans []struct {
			Spans []otlpSpan
		}
	}
}

type otlpSpan struct {
	Kind                               json.RawMessage
	StartTimeUnixNano, EndTimeUnixNano json.RawMessage
	TraceState                         string
	Status                             struct {
		Code    json.RawMessage
		Message string
	}
	Attributes []struct {
		Key   string
		Value map[string]json.RawMessage
	}
}

// otlp reads spans in OTLP/JSON: one document in each line, or documents of several
// lines. Client spans are calls. A span is a failure if its status is an error, or by
// its HTTP status.
func (im *importer) otlp(r io.Reader) error {
	inLines, r, err := documentsInLines(r)
	if err != nil {
		return failedRead(err)
	}
	var seen otlpSeen
	if inLines {
		err = im.lines(r, func(n int, line string) {
			var x otlpTraces
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				im.skip(n, "%v", err)
				return
			}
			im.spans(n, &x, &seen)
		})
	} else {
		err = im.otlpDocuments(r, &seen)
	}
	if err != nil {
		return err
	}
	if seen.others > 0 {
		im.notes = append(im.notes, fmt.Sprintf("%s left out: only client spans are calls", plural(seen.others, "span")))
	}
	if seen.sampled > 0 {
		im.notes = append(im.notes, fmt.Sprintf("%s sampled: the calls in between are missing, so rules that count consecutive failures or calls cannot be judged by this data", plural(seen.sampled, "span")))
	} else {
		im.notes = append(im.notes, "the spans do not say whether they were sampled; if they were, calls between them are missing, and rules that count them cannot be judged")
	}
	return nil
}

// documentsInLines reports whether each line of r is a document of its own: the first
// one is, or, if that has been cut, the second one. It returns a reader of all of r.
func documentsInLines(r io.Reader) (bool, io.Reader, error) {
	b := bufio.NewReader(r)
	var head []byte
	for range 2 {
		line, err := readLine(b, nil)
		head = append(head, line...)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return false, nil, err
		case json.Valid(line):
			return true, io.MultiReader(bytes.NewReader(head), b), nil
		}
	}
	return false, io.MultiReader(bytes.NewReader(head), b), nil
}

// otlpDocuments reads documents of several lines. Where one is broken, it cannot be
// known where the next one begins.
func (im *importer) otlpDocuments(r io.Reader, seen *otlpSeen) error {
	d := json.NewDecoder(r)
	for n := 1; ; n++ {
		var x otlpTraces
		err := d.Decode(&x)
		var syntax *json.SyntaxError
		var wrong *json.UnmarshalTypeError
		switch {
		case err == nil:
			im.spans(n, &x, seen)
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &wrong):
			im.skip(n, "%v", err)
		case errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF):
			im.skip(n, "%v; what follows it is not read", err)
			return nil
		default:
			return failedRead(err)
		}
	}
}

// otlpSeen counts spans that there is something to say about.
type otlpSeen struct{ sampled, others int }

// spans adds the calls of a document.
func (im *importer) spans(n int, x *otlpTraces, seen *otlpSeen) {
	for _, rs := range x.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for i := range ss.Spans {
				s := &ss.Spans[i]
				if k := rawText(s.Kind); k != "3" && k != "SPAN_KIND_CLIENT" {
					seen.others++
					continue
				}
				if isSampled(s.TraceState) {
					seen.sampled++
				}
				im.span(n, s)
			}
		}
	}
}

// isSampled reports whether a trace state names a sampling probability below one:
// OpenTelemetry's ot=th (a threshold above 0) or ot=p (a power of two above 0).
func isSampled(state string) bool {
	for _, member := range strings.Split(state, ",") {
		list, ok := strings.CutPrefix(strings.TrimSpace(member), "ot=")
		if !ok {
			continue
		}
		for _, field := range strings.Split(list, ";") {
			if v, ok := strings.CutPrefix(field, "th:"); ok && strings.Trim(v, "0") != "" {
				return true
			}
			if v, ok := strings.CutPrefix(field, "p:"); ok && v != "0" {
				return true
			}
		}
	}
	return false
}

// span adds the call of a client span.
func (im *importer) span(n int, s *otlpSpan) {
	began, ok := parseAt(rawText(s.StartTimeUnixNano))
	ended, ok2 := parseAt(rawText(s.EndTimeUnixNano))
	if !ok || !ok2 || ended.Before(began) {
		im.skip(n, "a span from %q to %q, want two times in order", rawText(s.StartTimeUnixNano), rawText(s.EndTimeUnixNano))
		return
	}
	var key, status, grpc string
	rank := []string{"peer.service", "server.address", "net.peer.name", "http.host", "db.system"}
	best := len(rank)
	for _, a := range s.Attributes {
		text := ""
		for _, v := range a.Value {
			text = rawText(v)
		}
		if i := slices.Index(rank, a.Key); i >= 0 && i < best {
			key, best = text, i
		}
		if a.Key == "http.response.status_code" || a.Key == "http.status_code" {
			status = text
		}
		if a.Key == "rpc.grpc.status_code" {
			grpc = text
		}
	}
	o := breaker.Success
	if code := rawText(s.Status.Code); code == "2" || code == "STATUS_CODE_ERROR" {
		o = breaker.Failure
	}
	// A client span with status 404 has the status error in many
	// instrumentations: the HTTP status says more.
	if by, ok := im.status(status); ok {
		o = by
	}
	if by, ok := grpcOutcome(grpc); ok {
		o = by
	}
	// What Go's context package says when the caller gives up.
	if o == breaker.Failure && s.Status.Message == "context canceled" {
		o = breaker.Canceled
	}
	im.dated(began)
	im.add(began, ended.Sub(began), o, false, key)
}

// grpcOutcome judges a gRPC status code as package breakergrpc does: most codes
// other than OK are answers of a service that works.
func grpcOutcome(code string) (breaker.Outcome, bool) {
	switch code {
	case "":
		return 0, false
	case "1": // canceled
		return breaker.Canceled, true
	case "2", "4", "8", "13", "14", "15": // unknown, deadline exceeded, resource exhausted, internal, unavailable, data loss
		return breaker.Failure, true
	default:
		return breaker.Success, true
	}
}
