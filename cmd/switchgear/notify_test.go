package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// webhook is a server that collects notices.
func webhook(t *testing.T) (url string, texts chan string) {
	t.Helper()
	texts = make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Notices []struct{ Kind, Service, Text string }
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/s3cr3t" || r.Header.Get("Authorization") != "Bearer t0k3n" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		for _, n := range body.Notices {
			texts <- n.Kind + " " + n.Service + ": " + n.Text
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/s3cr3t", texts
}

// await waits for a notice that begins with want.
func await(t *testing.T, texts chan string, want string) {
	t.Helper()
	limit := time.After(tooLong)
	for {
		select {
		case text := <-texts:
			if strings.HasPrefix(text, want) {
				return
			}
		case <-limit:
			t.Fatalf("no notice %q", want)
		}
	}
}

func TestNotifyWatchesAllProcesses(t *testing.T) {
	long(t)
	t.Parallel()
	h := newHost(t)
	url, texts := webhook(t)
	h.env = []string{"SWITCHGEAR_NOTIFY_URL=" + url, "SWITCHGEAR_NOTIFY_AUTHORIZATION=Bearer t0k3n"}
	h.shop("shop")
	cmd := h.command(t.Context(), "notify", "--wait", "10ms", "--every", "10ms", "--failing-for", "1ns")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	remarks := linesOf(t, errs)
	remarks.await("Ctrl-C ends it") // a process that was too busy to answer by then is found later
	await(t, texts, "failing shop: payments has been failing for ")
	later := h.shop("later")
	remarks.await("watching later/")
	await(t, texts, "failing later: payments has been failing for ")
	if err := later.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	remarks.await("later/", "has ended")
	await(t, texts, "closed later: payments is not open any more: its process has ended")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	remarks.rest()
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v, want exit 0", err)
	}
	if strings.Contains(remarks.text(), "s3cr3t") || strings.Contains(remarks.text(), "t0k3n") {
		t.Errorf("a secret is shown:\n%s", remarks.text())
	}
}

func TestNotifyTest(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	url, texts := webhook(t)
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.env = []string{"SWITCHGEAR_NOTIFY_AUTHORIZATION=Bearer t0k3n"}
	if out := h.ok("notify", "--test", "--url-file", file); out != "A test notice was sent and accepted.\n" {
		t.Errorf("it says %q", out)
	}
	await(t, texts, "report switchgear: This is a test of switchgear notify.")
	h.env = []string{"SWITCHGEAR_NOTIFY_URL=" + url}
	h.fails(3, args("notify", "--test"), "refuses with status 403")
	h.env = []string{"SWITCHGEAR_NOTIFY_URL=http://127.0.0.1:1/s3cr3t"}
	h.fails(3, args("notify", "--test"), "127.0.0.1:1", "connection refused")
	h.env = nil
	h.fails(2, args("notify"), "got no URL")
	h.fails(2, args("notify", "--url-file", "/no/such/file"), "no such file")
	h.fails(2, args("notify", "--format", "pagerduty"), "got no key")
	h.fails(2, args("notify", "--format", "teams", "--url-file", file), `got the format "teams", want one of [json slack alertmanager pagerduty]`)
	h.fails(2, args("notify", "--kinds", "opened,shut", "--url-file", file), `got the kind "shut"`)
	h.fails(2, args("notify", "--every", "-1s", "--url-file", file), "Every -1s, want a time above 0")
}
