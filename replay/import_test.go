package replay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// grpcSpan is a client span of a gRPC call that ended with a code.
func grpcSpan(code string) string {
	return `{"kind":3,"startTimeUnixNano":"1772359202000000000","endTimeUnixNano":"1772359202000000100","status":{"code":2},"attributes":[` +
		`{"key":"rpc.system","value":{"stringValue":"grpc"}},{"key":"server.address","value":{"stringValue":"pay"}},{"key":"rpc.grpc.status_code","value":{"intValue":"` + code + `"}}]}`
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

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
			want: shape{"jsonl", 2, 0, 1, []string{"db", "db/7"}, []string{"1 line could not be read", "steps of"}},
		},
		"otlp": {
			data: `{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{"scope":{"name":"http"},"spans":[` +
				`{"traceId":"01","spanId":"02","kind":3,"startTimeUnixNano":"1772359202000000001","endTimeUnixNano":"1772359202500000000","attributes":[{"key":"server.address","value":{"stringValue":"pay"}},{"key":"http.response.status_code","value":{"intValue":"503"}}],"status":{"code":2}},` +
				`{"kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"},` +
				`{"kind":"SPAN_KIND_CLIENT","traceState":"rojo=1,ot=th:c;rv:123","startTimeUnixNano":"1772359201000000000","endTimeUnixNano":"1772359201000000005","attributes":[{"key":"server.address","value":{"stringValue":"pay"}},{"key":"http.response.status_code","value":{"intValue":"404"}}],"status":{"code":"STATUS_CODE_ERROR"}},` +
				`{"kind":3,"startTimeUnixNano":"1772359203000000000","endTimeUnixNano":"1772359202000000000"}]}]}]}` + "\n",
			want: shape{"otlp", 2, 0, 1, []string{"imported/pay"}, []string{"1 span sampled", "1 span left out", "two times in order"}},
		},
		// 503, 503, a time-out and four refused connections are failures; 404 and 429
		// are answers; one caller gave up.
		"otlp, by the file exporter of the collector": {
			data: readFile(t, "testdata/import/client-spans.jsonl"),
			want: shape{"otlp", 13, 0, 7, []string{"imported/127.0.0.1", "imported/localhost"}, []string{"9 spans left out", "do not say whether they were sampled"}},
		},
		"otlp, grpc": {
			data: `{"resourceSpans":[{"scopeSpans":[{"spans":[` + grpcSpan("0") + "," + grpcSpan("5") + "," + grpcSpan("14") + "," + grpcSpan("1") + "," + grpcSpan("4") + `]}]}]}`,
			want: shape{"otlp", 5, 0, 2, []string{"imported/pay"}, nil},
		},
		"nginx, several upstreams": {
			data: "1772359202.123 0.010 200 10.0.0.1:80\n1772359203.000 0.100, 0.020 502, 200 10.0.0.1:80, 10.0.0.2:80\n1772359204.001 - 499 10.0.0.1:80\n1772359204.900 - - -\n1772359205.000 1.000 : 0.1 504 : 200 10.0.0.1:80 : 10.0.0.3:80\nrubbish\n",
			want: shape{"nginx", 6, 0, 2, []string{"imported/10.0.0.1:80", "imported/10.0.0.2:80", "imported/10.0.0.3:80"}, []string{"several upstreams in 2 lines", "1 line left out", "1 line could not be read", "steps of 1ms"}},
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
			want: shape{"envoy", 3, 1, 1, []string{"imported", "imported/tcp://10.0.2.1:80"}, []string{"Envoy rejected 1 call with UO", "steps of 10ms"}},
		},
		"envoy, its documented example": {
			data: `[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"` + "\n",
			want: shape{"envoy", 1, 0, 0, []string{"imported/tcp://10.0.2.1:80"}, nil},
		},
		"envoy, its documented default format": {
			data: readFile(t, "testdata/import/envoy-default.log"),
			want: shape{"envoy", 8, 4, 5, []string{"imported", "imported/10.0.2.1:80", "imported/10.0.2.2:80"}, []string{
				"Envoy rejected 1 call with UO (its own circuit breaker)", "with UH (no healthy upstream)", "with NR (no route)", "with RL (its rate limit)",
				"for 1 call the log shows only the last of several attempts", "steps of 1ms",
			}},
		},
		"envoy, Istio's default format": {
			data: readFile(t, "testdata/import/istio-default.log"),
			want: shape{"envoy", 4, 1, 2, []string{"imported/inbound|80||", "imported/outbound|8000||httpbin.foo.svc.cluster.local"}, []string{"with UO"}},
		},
		"envoy, what kubectl logs prints of an Istio proxy": {
			data: readFile(t, "testdata/import/istio-proxy.log"),
			want: shape{"envoy", 5, 1, 2, []string{"imported/BlackHoleCluster", "imported/outbound|8000||pay.shop.svc.cluster.local"}, []string{
				"with UH", "1 line left out, because no upstream was asked", "last of several attempts", "1 line could not be read; the first is line 1",
			}},
		},
		"envoy, behind what docker compose and kubectl write": {
			data: `envoy-1  | 2026-03-01T10:00:00.411000001Z [2026-03-01T10:00:00.311Z] "GET / HTTP/1.1" 503 UF upstream_reset_before_response_started{connection_failure} 0 145 0 - "-" "shop" "44" "pay:80" "10.0.2.1:80"` + "\n" +
				`[pod/proxy-1/envoy] [2026-03-01T10:00:00.412Z] "GET / HTTP/1.1" 200 - 0 145 2 1 "-" "shop" "45" "pay:80" "10.0.2.1:80"` + "\n" +
				`envoy-1  | {"start_time":"2026-03-01T10:00:00.513Z","duration":12,"response_code":504,"response_flags":"UT","upstream_host":"10.0.2.1:80"}` + "\n",
			want: shape{"envoy", 3, 0, 2, []string{"imported/10.0.2.1:80"}, nil},
		},
		"envoy, json of requests that did not reach an upstream": {
			data: `{"start_time":"2026-03-01T10:00:00.311Z","method":"GET","duration":0,"response_code":301,"response_flags":"-","upstream_host":"-"}` + "\n" +
				`{"start_time":"2026-03-01T10:00:00.412Z","method":"GET","duration":0,"response_code":403,"response_flags":null,"upstream_host":null}` + "\n" +
				`{"start_time":"2026-03-01T10:00:00.513Z","method":"GET","duration":3,"response_code":500,"response_flags":"UF","upstream_host":null}` + "\n",
			want: shape{"envoy", 1, 0, 1, []string{"imported"}, []string{"2 lines left out, because no upstream was asked"}},
		},
		"nginx, a log_format that looks like Envoy's": {
			data: `[2026-03-01T10:00:02Z] "GET / HTTP/1.1" 502` + "\n",
			o:    ImportOptions{LogFormat: `[$time_iso8601] "$request" $status`},
			want: shape{"nginx", 1, 0, 1, []string{"imported"}, nil},
		},
		"envoy, json with strings and with numbers": {
			data: readFile(t, "testdata/import/envoy.jsonl"),
			want: shape{"envoy", 5, 1, 2, []string{"imported", "imported/10.0.2.1:80", "imported/pay"}, []string{"with UO"}},
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
		{"", ImportOptions{}, "it is empty"},
		{"", ImportOptions{Format: "nginx"}, "it holds no calls"},
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

// The logs that a real nginx writes: in the format that is proposed, and in its own
// with the times added.
func TestImportNginx(t *testing.T) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("nginx is not installed")
		}
		t.Skip("nginx is not installed")
	}
	serve := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	good, bad, refusing, front, dir := serve(200), serve(503), free(), free(), t.TempDir()
	const combined = "combined $request_time $upstream_response_time"
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	log_format replay '%[2]s';
	log_format long '%[3]s';
	access_log %[1]s/replay.log replay;
	access_log %[1]s/long.log long;
	access_log %[1]s/combined.log;
	upstream both { server %[5]s max_fails=0; server %[4]s max_fails=0; }
	upstream broken { server %[5]s max_fails=0; server %[6]s max_fails=0; }
	upstream dead { server %[6]s max_fails=1 fail_timeout=1m; server %[6]s max_fails=1 fail_timeout=1m; }
	server {
		listen %[7]s;
		location /own { return 204; }
		location /both { proxy_pass http://both; proxy_next_upstream http_503; }
		location /redirected {
			proxy_pass http://broken; proxy_next_upstream error http_503;
			proxy_intercept_errors on; error_page 502 503 = @other;
		}
		location @other { proxy_pass http://%[4]s; }
		location /dead { proxy_pass http://dead; }
	}
}`, dir, NginxFormat, strings.Replace(combined, "combined", nginxCombined, 1), good, bad, refusing, front)
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
	requests := 1
	for deadline := time.Now().Add(20 * time.Second); get("/own") != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nginx does not answer")
		}
	}
	for _, path := range []string{"/both", "/both", "/both", "/both", "/redirected", "/redirected", "/dead", "/dead", "/dead"} {
		if err := get(path); err != nil {
			t.Fatal(err)
		}
		requests++
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	load := func(log, format string) *Trace {
		f, err := os.Open(filepath.Join(dir, log))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		trace, err := Import(f, ImportOptions{Name: "shop", Format: "nginx", LogFormat: format})
		if err != nil {
			t.Fatal(err)
		}
		return trace
	}
	ids := []string{"shop/" + good, "shop/" + bad, "shop/" + refusing, "shop/dead"}
	slices.Sort(ids)
	// /both: round robin, so two of four requests meet the bad server first. Each
	// /redirected asks both broken servers and then the good one. The first /dead
	// asks both of its servers, and then nginx asks none for a minute.
	check(t, load("replay.log", ""), shape{"nginx", 4 + 2 + 6 + 2, 2, 2 + 4 + 2, ids, []string{
		"several upstreams", "1 line left out", "nginx rejected 2 calls, because it had given up all servers", "steps of 1ms",
	}})
	all := shape{"nginx", uint64(requests), 0, 3, []string{"shop"}, []string{"steps of 1s"}}
	check(t, load("long.log", combined), all)
	all.notes = append(all.notes, "how long calls took is not known")
	check(t, load("combined.log", "combined"), all)
	data, err := os.ReadFile(filepath.Join(dir, "replay.log"))
	if err != nil || !regexp.MustCompile(`\d, \d[.\d]* : \d`).Match(data) {
		t.Errorf("no line has several upstreams and an internal redirect, %v:\n%s", err, data)
	}
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

// One line that cannot be read costs that line and no other.
func TestImportGoesOnAfterABadLine(t *testing.T) {
	span := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":3,"startTimeUnixNano":"1772359202000000001","endTimeUnixNano":"1772359202500000000"}]}]}]}` + "\n"
	long := strings.Repeat("x", mostLine+1)
	for name, tt := range map[string]struct {
		data string
		want shape
	}{
		"a stray quote": {
			data: "at,took,outcome,key\n1772359202.1,1ms,ok,\"a\n1772359203.1,1ms,ok,b\n1772359204.1,1ms,ok,b\n",
			want: shape{"csv", 2, 0, 0, []string{"imported/b"}, []string{"1 line could not be read; the first is line 2"}},
		},
		"quotes": {
			data: "at,took,outcome,key\r\n\"1772359202.1\",1ms,ok,\"a,\"\"b\"\"\"\r\n1772359203.1,1ms,ok,c\r\n",
			want: shape{"csv", 2, 0, 0, []string{`imported/a,"b"`, "imported/c"}, nil},
		},
		"an endless line of csv": {
			data: "at,took,outcome,key\n1772359202.1,1ms,ok,a\n" + long + "\n1772359203.1,1ms,ok,b\n",
			want: shape{"csv", 2, 0, 0, []string{"imported/a", "imported/b"}, []string{"1 line could not be read; the first is line 3: it is longer than 16 MiB"}},
		},
		"an endless line of a log": {
			data: "1772359202.123 0.010 200 10.0.0.1:80\n" + long + long + "\n1772359203.123 0.010 200 10.0.0.1:80\n" + long,
			want: shape{"nginx", 2, 0, 0, []string{"imported/10.0.0.1:80"}, []string{"2 lines could not be read; the first is line 2: it is longer than 16 MiB"}},
		},
		"spans, one of which was cut": {
			data: span + span[:100] + "\n" + span + span[:50],
			want: shape{"otlp", 2, 0, 0, []string{"imported"}, []string{"2 lines could not be read; the first is line 2"}},
		},
		"a byte order mark before json": {
			data: "\ufeff" + `{"at":1772359202.5,"took":0.1,"outcome":false,"key":7}` + "\n",
			want: shape{"jsonl", 1, 0, 1, []string{"imported/7"}, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			trace, err := Import(strings.NewReader(tt.data), ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			check(t, trace, tt.want)
		})
	}
}

// Rotated logs are compressed.
func TestImportCompressed(t *testing.T) {
	var b bytes.Buffer
	for range 2 { // files that were appended to each other
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, "1772359202.123 0.010 200 10.0.0.1:80\n")
		_ = w.Close()
	}
	name := filepath.Join(t.TempDir(), "access.log.1.gz")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	trace, err := ImportFile(name, ImportOptions{})
	if err != nil || trace.Calls != 2 || trace.Source != "nginx" {
		t.Errorf("%v, %v, want two calls from nginx", trace, err)
	}
	for _, format := range Formats[1:] {
		line := "1772359202.123 0.010 200 10.0.0.1:80\n"
		if format == "otlp" {
			line = `{"resourceSpans":[]}` + "\n"
		}
		b.Reset()
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, line+line+line)
		_ = w.Close()
		if _, err := Import(bytes.NewReader(b.Bytes()[:b.Len()-10]), ImportOptions{Format: format}); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ErrImport) || strings.Contains(err.Error(), "replay:") {
			t.Errorf("%s, cut: %v, want ErrImport and ErrUnexpectedEOF", format, err)
		}
	}
	if _, err := Import(strings.NewReader("\x1f\x8brubbish, not compressed"), ImportOptions{}); !errors.Is(err, gzip.ErrHeader) || !errors.Is(err, ErrImport) {
		t.Errorf("rubbish: %v, want ErrImport and ErrHeader", err)
	}
}

// What is compressed is decompressed once: data can be made that decompresses to
// itself.
func TestImportCompressedTwice(t *testing.T) {
	data := []byte("1772359202.123 0.010 200 10.0.0.1:80\n")
	for range 2 {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(data)
		_ = w.Close()
		data = b.Bytes()
	}
	if trace, err := Import(bytes.NewReader(data), ImportOptions{}); err == nil {
		t.Errorf("%v, want an error", trace)
	}
}

// Broken documents cost no more than others: not memory for each, and not a second
// look at all that follows.
func TestImportManyBrokenDocuments(t *testing.T) {
	good := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":3,"startTimeUnixNano":"1772359202000000000","endTimeUnixNano":"1772359202000000001"}]}]}]}` + "\n"
	for _, bad := range []string{"{\"resourceSpans\" x\n", "{\"resourceSpans\":[\n", "[\n", "\"\n", "{\"resourceSpans\":1}\n"} {
		const n = 50_000
		before := allocated()
		trace, err := Import(strings.NewReader(bad[:len(bad)-1]+"\n"+good+strings.Repeat(bad, n)+good), ImportOptions{Format: "otlp"})
		if err != nil || trace.Calls != 2 {
			t.Errorf("%q: %v, %v, want two calls", bad, trace, err)
		}
		if each := (allocated() - before) / n; each > 2000 {
			t.Errorf("%q: %d bytes for each", bad, each)
		}
	}
}

// allocated is the number of bytes allocated until now.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Keys that clients invent do not fill the memory.
func TestImportLimitsKeys(t *testing.T) {
	var b strings.Builder
	for i := range mostKeys + 100 {
		fmt.Fprintf(&b, "%d.5,1ms,ok,k%d\n", 1772359202+i, i)
	}
	trace, err := Import(strings.NewReader(b.String()), ImportOptions{Format: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(trace.Breakers); n != mostKeys+1 {
		t.Errorf("%d breakers, want %d and one for all others", n, mostKeys)
	}
	notes := 0
	for _, n := range trace.Notes {
		notes += strings.Count(n, "more than 10000 keys")
	}
	if i := slices.IndexFunc(trace.Breakers, func(l *Lane) bool { return l.ID == "imported/other" }); i < 0 || len(trace.Breakers[i].calls) != 100 || notes != 1 {
		t.Errorf("the breaker for others is number %d, and %d notes say so, want one with 100 calls", i, notes)
	}
}
