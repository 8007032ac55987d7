package replay

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// shape is what a test expects of a trace.
type shape struct {
	source          string
	calls, rejected uint64
	failures        int
	ids             []string
	notes           []string // parts of them
}

func check(t *testing.T, trace *Trace, want shape) {
	t.Helper()
	failures := 0
	var ids []string
	for _, l := range trace.Breakers {
		ids = append(ids, l.ID)
		for _, c := range l.calls {
			if c.What.Kind() == tape.Whole && c.What.Outcome() == uint8(breaker.Failure) {
				failures++
			}
		}
	}
	if trace.Source != want.source || trace.Calls != want.calls || trace.Rejected != want.rejected || failures != want.failures || !slices.Equal(ids, want.ids) {
		t.Errorf("got %s with %d calls, %d rejected, %d failed, of %q, want %+v; notes %q", trace.Source, trace.Calls, trace.Rejected, failures, ids, want, trace.Notes)
	}
	for _, n := range want.notes {
		if !slices.ContainsFunc(trace.Notes, func(s string) bool { return strings.Contains(s, n) }) {
			t.Errorf("no note says %q: %q", n, trace.Notes)
		}
	}
}

func TestImport(t *testing.T) {
	for name, tt := range map[string]struct {
		data string
		o    ImportOptions
		want shape
	}{
		"csv": {
			data: "at,took,outcome,key\n2026-03-01T10:00:00.123456Z,12ms,success,a\n2026-03-01T10:00:01.5Z,0.25,failure,b\n1772359202.000001,1,503,a\n1772359203000,5ms,rejected,a\nnonsense,1,ok,a\n1772359204,1ms,\"maybe\",a\n",
			want: shape{"csv", 3, 1, 2, []string{"imported/a", "imported/b"}, []string{"2 lines could not be read", `got at "nonsense"`}},
		},
		"csv, other order": {
			data: "\ufefftook,OUTCOME,at\n1ms,200,1772359202\n1ms,404,1772359203\n1ms,500,1772359204\n",
			want: shape{"csv", 3, 0, 1, []string{"imported"}, []string{"steps of 1s"}},
		},
		"csv without names": {
			data: "1772359202.1234,1ms,ok\n1772359203.1234,1ms,error\n",
			want: shape{"csv", 2, 0, 1, []string{"imported"}, nil},
		},
		"json lines": {
			data: `{"at":"2026-03-01T10:00:00.123Z","took":"3ms","outcome":"success"}` + "\n" + `{"at":1772359202.5,"took":0.1,"outcome":false,"key":7}` + "\n{broken\n",
			o:    ImportOptions{Name: "db"},
			want: shape{"jsonl", 2, 0, 1, []string{"db", "db/7"}, []string{"1 lines could not be read", "steps of"}},
		},
		"otlp": {
			data: `{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{"scope":{"name":"http"},"spans":[` +
				`{"traceId":"01","spanId":"02","kind":3,"startTimeUnixNano":"1772359202000000001","endTimeUnixNano":"1772359202500000000","attributes":[{"key":"server.address","value":{"stringValue":"pay"}},{"key":"http.response.status_code","value":{"intValue":"503"}}],"status":{"code":2}},` +
				`{"kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"},` +
				`{"kind":"SPAN_KIND_CLIENT","traceState":"rojo=1,ot=th:c;rv:123","startTimeUnixNano":"1772359201000000000","endTimeUnixNano":"1772359201000000005","attributes":[{"key":"server.address","value":{"stringValue":"pay"}},{"key":"http.response.status_code","value":{"intValue":"404"}}],"status":{"code":"STATUS_CODE_ERROR"}},` +
				`{"kind":3,"startTimeUnixNano":"1772359203000000000","endTimeUnixNano":"1772359202000000000"}]}]}]}` + "\n",
			want: shape{"otlp", 2, 0, 1, []string{"imported/pay"}, []string{"1 spans are sampled", "1 spans are left out", "two times in order"}},
		},
		"nginx, several upstreams": {
			data: "1772359202.123 0.010 200 10.0.0.1:80\n1772359203.000 0.100, 0.020 502, 200 10.0.0.1:80, 10.0.0.2:80\n1772359204.001 - 499 10.0.0.1:80\n1772359204.900 - - -\n1772359205.000 1.000 : 0.1 504 : 200 10.0.0.1:80 : 10.0.0.3:80\nrubbish\n",
			want: shape{"nginx", 6, 0, 2, []string{"imported/10.0.0.1:80", "imported/10.0.0.2:80", "imported/10.0.0.3:80"}, []string{"2 lines have several upstreams", "1 lines are left out", "1 lines could not be read", "steps of 1ms"}},
		},
		"nginx, a log_format with the time of day": {
			data: `127.0.0.1 - - [01/Mar/2026:10:00:02 +0000] "GET / HTTP/1.1" 502 157 "-" "curl/8.0" rt=0.250` + "\n",
			o:    ImportOptions{Format: "nginx", LogFormat: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time`},
			want: shape{"nginx", 1, 0, 1, []string{"imported"}, nil},
		},
		"envoy": {
			data: `[2026-03-01T10:00:00.310Z] "POST /api HTTP/2" 200 - 0 226 100 99 "-" "nsq" "cc21d9b0" "locations" "tcp://10.0.2.1:80"` + "\n" +
				`[2026-03-01T10:00:01.310Z] "GET /a b HTTP/2" 503 UO 0 226 0 - "-" "x y" "cc" "locations" "-"` + "\n" +
				`[2026-03-01T10:00:02.310Z] "GET / HTTP/2" 503 UF,URX upstream_reset_before_response_started{connection_failure} - "delayed connect error: 111" 0 226 3 - "-" "x" "cc" "locations" "tcp://10.0.2.1:80"` + "\n" +
				`[2026-03-01T10:00:03.310Z] "GET / HTTP/2" 0 DC 0 0 30 - "-" "x" "cc" "locations" "tcp://10.0.2.1:80"` + "\n",
			want: shape{"envoy", 3, 1, 1, []string{"imported", "imported/tcp://10.0.2.1:80"}, []string{"1 calls were rejected by Envoy with UO", "steps of 10ms"}},
		},
		"envoy, json": {
			data: `{"start_time":"2026-03-01T10:00:00.311Z","duration":12,"response_code":200,"response_flags":"-","upstream_cluster":"pay"}` + "\n" +
				`{"start_time":"2026-03-01T10:00:01.312Z","duration":"1000","response_code":504,"response_flags":"UT","upstream_cluster":"pay"}` + "\n",
			want: shape{"envoy", 2, 0, 1, []string{"imported/pay"}, nil},
		},
		"failures by status": {
			data: "at,took,outcome\n1772359202.1,1ms,429\n1772359203.1,1ms,500\n",
			o:    ImportOptions{Failure: []string{"429"}},
			want: shape{"csv", 2, 0, 1, []string{"imported"}, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			trace, err := Import(strings.NewReader(tt.data), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			check(t, trace, tt.want)
			if v := trace.Verify(); v.Transitions != 0 || len(v.Notes) == 0 {
				t.Errorf("%v, %q: want a note that there is nothing to verify", v, v.Notes)
			}
			run(t, trace, AsRecorded)
		})
	}
}

func TestImportErrors(t *testing.T) {
	for _, tt := range []struct {
		data string
		o    ImportOptions
		want string
	}{
		{"", ImportOptions{}, "it holds no calls"},
		{"hello\nworld\n", ImportOptions{}, "line 1"},
		{"at,outcome\n1,2\n", ImportOptions{}, "its columns are at, outcome, want at, took, outcome"},
		{"x", ImportOptions{Format: "xml"}, `the format "xml", want one of sgr`},
		{"x", ImportOptions{Failure: []string{"bad"}}, `the failure status "bad", want`},
		{"x", ImportOptions{Format: "nginx", LogFormat: "$request"}, "has no time"},
		{"x", ImportOptions{Format: "nginx", LogFormat: "$msec"}, "has no status"},
		{"1,1ms,ok\n4102444800,1ms,ok\n", ImportOptions{Format: "csv"}, "apart"},
		{"x", ImportOptions{Settings: breaker.Settings{FailMax: 1 << 30}}, "FailMax"},
		{"x", ImportOptions{Name: "a/b"}, "a/b"},
	} {
		_, err := Import(strings.NewReader(tt.data), tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q in it", tt.data, err, tt.want)
		}
	}
	if _, err := Import(strings.NewReader("hello\n"), ImportOptions{}); !errors.Is(err, ErrImport) {
		t.Errorf("got %v, want ErrImport", err)
	}
}

// No data makes an importer panic, and what it reads can be replayed.
func FuzzImport(f *testing.F) {
	for i := range Formats {
		f.Add(i, "at,took,outcome\n1772359202.1,1ms,ok\n")
		f.Add(i, `{"at":1,"took":1,"outcome":true}`)
		f.Add(i, `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":3,"startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}`)
		f.Add(i, "1772359202.123 0.010, 1 200, - 10.0.0.1:80")
		f.Add(i, `[2026-03-01T10:00:00.310Z] "POST /api HTTP/2" 200 - 0 226 100 99 "-" "nsq" "cc21d9b0" "locations" "tcp://10.0.2.1:80"`)
	}
	f.Fuzz(func(t *testing.T, format int, data string) {
		trace, err := Import(strings.NewReader(data), ImportOptions{Format: Formats[uint(format)%uint(len(Formats))]})
		if err != nil {
			return
		}
		if trace.Calls > 1000 || trace.Ended.Sub(trace.Began) > 1000*time.Hour {
			return
		}
		if _, err := Run(t.Context(), trace, RunOptions{}, AsRecorded); err != nil {
			t.Error(err)
		}
	})
}

// The log that a real nginx writes.
func TestImportNginx(t *testing.T) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("nginx is not installed")
		}
		t.Skip("nginx is not installed")
	}
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer bad.Close()
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer good.Close()
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := free.Addr().String()
	free.Close()
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	log_format replay '%[2]s';
	access_log %[1]s/access.log replay;
	upstream both { server %[3]s max_fails=0; server %[4]s max_fails=0; }
	server {
		listen %[5]s;
		location / { proxy_pass http://both; proxy_next_upstream http_503; }
		location /own { return 204; }
	}
}`, dir, NginxFormat, strings.TrimPrefix(bad.URL, "http://"), strings.TrimPrefix(good.URL, "http://"), front)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	get := func(path string) error {
		resp, err := http.Get("http://" + front + path)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); get("/own") != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nginx does not answer")
		}
	}
	for range 10 {
		if err := get("/"); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	log, err := os.Open(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	trace, err := Import(log, ImportOptions{Name: "shop", Format: "nginx"})
	if err != nil {
		t.Fatal(err)
	}
	// Round robin: each second request meets the bad server first.
	if trace.Calls != 15 || len(trace.Breakers) != 2 {
		t.Errorf("%d calls of %d upstreams, want 15 of 2; notes %q", trace.Calls, len(trace.Breakers), trace.Notes)
	}
	check(t, trace, shape{"nginx", 15, 0, 5, []string{trace.Breakers[0].ID, trace.Breakers[1].ID}, []string{"5 lines have several upstreams", "left out"}})
}

// Data that would fill the memory is refused in a line that says what helps.
func TestImportRefusesTooManyCalls(t *testing.T) {
	defer func(n uint64) { mostKept = n }(mostKept)
	mostKept = 1000
	for name, line := range map[string]string{
		"csv":   "1772359202.000001,1ms,ok\n",
		"jsonl": `{"at":1772359202,"took":0.1,"outcome":"ok"}` + "\n",
		"nginx": "1772359202.123 0.010 200 10.0.0.1:80\n",
		"envoy": `{"start_time":"2026-03-01T10:00:00.000Z","duration":"1","response_code":200,"response_flags":"-"}` + "\n",
		"otlp":  `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":3,"startTimeUnixNano":"1772359202000000000","endTimeUnixNano":"1772359202000000001"}]}]}]}` + "\n",
	} {
		if trace, err := Import(strings.NewReader(strings.Repeat(line, 1000)), ImportOptions{Format: name}); err != nil || trace.Calls != 1000 {
			t.Errorf("%s: a thousand: %v", name, err)
		}
		// Much more than a buffer holds: reading stops early.
		more := &endless{line: line}
		if _, err := Import(more, ImportOptions{Format: name}); !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), "more than 1000, want fewer") {
			t.Errorf("%s: too many: %v", name, err)
		}
	}
	var file bytes.Buffer
	if _, err := synth(1, 100, 20*time.Second, 0).WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(&file); !errors.Is(err, ErrTooMany) {
		t.Errorf("sgr: too many: %v", err)
	}
}

// endless repeats a line forever.
type endless struct {
	line string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.line[e.at]
		e.at = (e.at + 1) % len(e.line)
	}
	return len(p), nil
}

// How far a file has been read is reported, from the beginning to the end.
func TestImportReportsProgress(t *testing.T) {
	dir := t.TempDir()
	csv := filepath.Join(dir, "calls.csv")
	if err := os.WriteFile(csv, []byte(strings.Repeat("1772359202.000001,1ms,ok\n", 50_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{csv, dayFile(t, 200_000)} {
		var seen []float64
		if _, err := ImportFile(name, ImportOptions{Progress: func(done float64) { seen = append(seen, done) }}); err != nil {
			t.Fatal(err)
		}
		if n := len(seen); n < 5 || seen[0] > .5 || seen[n-1] != 1 || !slices.IsSorted(seen) {
			t.Errorf("%s: %v, want a rise to 1", name, seen)
		}
	}
}
