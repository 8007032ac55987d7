package breaker_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// A patch of settings in effect: what it does not name stays.
func ExampleSettings_UnmarshalJSON() {
	b := breaker.New("payments", breaker.Settings{FailMax: 3})

	patched := b.Settings()
	if err := json.Unmarshal([]byte(`{"reset_timeout": "10s", "failure_rate": 0.5}`), &patched); err != nil {
		fmt.Println(err)
	}
	if err := b.Update(patched); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.Settings().FailMax, b.Settings().ResetTimeout, b.Settings().FailureRate)

	err := json.Unmarshal([]byte(`{"reset_timeout": 30}`), &patched)
	fmt.Println(err)
	// Output:
	// 3 10s 0.5
	// invalid settings: reset_timeout is 30, want a duration with its unit, such as "10s" or "1m30s"
}

func ExampleSettings_Set() {
	var s breaker.Settings
	fmt.Println(s.Set("fail_max", "3"), s.Set("slow_call", "1500ms"), s.Set("ramp", "off"))
	fmt.Println(s)
	// Output:
	// <nil> <nil> <nil>
	// fail_max=3 slow_call=1.5s ramp=off
}

func ExampleSettings_Advice() {
	s := breaker.Settings{FailMax: -1, FailureRate: 0.5, ResetTimeout: 8 * time.Second}
	fmt.Println(s.Advice(20, 2*time.Second)) // 20 calls a second, each limited to 2 s
	fmt.Println(s.Advice(0.5, 2*time.Second))
	// Output:
	// If the dependency is dead, it opens after 81 failed calls and 6s (failure-rate), with 40 more calls hanging.
	// It then spends 20% of the time on probes.
	// failure_rate can never open the breaker at this rate: a window of 10s holds 5 calls and min_calls is 20
}
