package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/notify"
)

// A program that notifies a chat channel when its breakers open.
func Example() {
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ Text string }
		if err := json.NewDecoder(r.Body).Decode(&message); err == nil {
			fmt.Println(message.Text[:len(":warning: payments opened: 5 failures in a row")])
		}
	}))
	defer webhook.Close()

	var manager breaker.Manager
	plane := ops.New(&manager, ops.Options{Service: "shop"})
	defer plane.Close()
	notifier, err := notify.Start(plane, notify.Options{URL: webhook.URL, Format: notify.Slack})
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 5 {
		_ = manager.Breaker("payments").Do(context.Background(), func(context.Context) error { return errors.New("connection refused") })
	}
	if err := notifier.Close(); err != nil { // sends what waits
		fmt.Println(err)
	}
	// Output: :warning: payments opened: 5 failures in a row
}
