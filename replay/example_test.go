package replay_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/replay"
)

func ExampleRecord() {
	manager := breaker.NewManager(breaker.Settings{})
	rec, err := replay.Record(manager, replay.Options{Dir: "/var/lib/shop", Program: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer rec.Close()
	plane := ops.New(manager, ops.Options{Recorder: rec}) // for "switchgear record"
	defer plane.Close()
}

func ExampleTrace_Verify() {
	trace, err := replay.Open("testdata/outage.sgr")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(trace.Verify())
	// Output: 78 of 78 transitions reproduced
}

func ExampleRun() {
	trace, err := replay.Open("testdata/outage.sgr")
	if err != nil {
		log.Fatal(err)
	}
	longer := replay.With("longer", breaker.Settings{ResetTimeout: time.Minute})
	report, err := replay.Run(context.Background(), trace, replay.RunOptions{}, replay.AsRecorded, longer)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range report.Results {
		trips := r.Figure("trips")
		fmt.Printf("%s: %s trips, %s\n", r.Name, trips.Text(), trips.Trust)
	}
	// Output:
	// as recorded: 14 trips, exact
	// longer: 14 trips, assumed
}

func ExampleTune() {
	trace, err := replay.Open("testdata/outage.sgr")
	if err != nil {
		log.Fatal(err)
	}
	found, err := replay.Tune(context.Background(), trace, replay.TuneOptions{
		Goal: replay.Goal{FalseTrips: replay.Rate{N: 1, Per: time.Minute}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(found.Best) > 0)
	// Output: true
}
