package replay

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

var update = flag.Bool("update", false, "write testdata/outage.sgr anew")

const goldenFile = "testdata/outage.sgr"

// A file that an earlier version wrote is still read, and still reproduced.
func TestGolden(t *testing.T) {
	if *update {
		file := record(t, breaker.Settings{ResetTimeout: 20 * time.Second}, Options{Program: "shop", Keys: KeysPlain}, func(m *breaker.Manager) {
			b, set := m.Breaker("payments"), breaker.SetOf[string](m, "inventory")
			d := &service{began: time.Now(), period: 3 * time.Minute, illShare: .25, well: weather{.01, 20 * time.Millisecond}, ill: []weather{{1, 5 * time.Millisecond}, {.7, time.Second}}}
			d.load(rand.New(rand.NewPCG(1, 2)), 3, 300*time.Millisecond, 13*time.Minute, func(ctx context.Context, worker int, fn func(context.Context) error) {
				if worker == 0 {
					_ = set.Do(ctx, []string{"a", "b"}[time.Now().Nanosecond()%2], fn)
					return
				}
				_ = b.Do(ctx, fn)
			})
		})
		if err := os.WriteFile(goldenFile, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trace, err := Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	v := trace.Verify()
	if !v.OK() || v.Reproduced < 20 || v.Unchecked > 0 || len(trace.Breakers) != 3 || trace.Program != "shop" || !trace.Complete {
		t.Errorf("%v of %d breakers: %v", v, len(trace.Breakers), v.First)
	}
}
