package breaker

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// Places are given to one call at a time, and to as many as there are.
func TestFlights(t *testing.T) {
	var f flights
	const most = flightChunk * flightChunks
	places := map[*flight]permitTag{}
	for range most {
		x, tag := f.take()
		if x == nil || places[x] != 0 || tag&(1<<flightShift-1) != 0 {
			t.Fatalf("place %d is %p with tag %x", len(places), x, tag)
		}
		places[x] = tag
	}
	if x, _ := f.take(); x != nil {
		t.Fatal("there is a place too many")
	}
	for x, tag := range places {
		if f.of(tag) != x || f.end(tag) != x || f.end(tag) != nil || f.of(tag) != nil {
			t.Fatal("a place is not given back, or twice")
		}
		f.release(x, tag)
	}
	for range most {
		x, tag := f.take()
		if x == nil || places[x] == tag {
			t.Fatalf("a place is lost, or has the tag of the call before")
		}
	}
}

func TestFlightsUnderLoad(t *testing.T) {
	var f flights
	var taken [flightChunk*flightChunks + 1]atomic.Int32
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			var held []permitTag
			for range 20_000 {
				if len(held) == 0 || len(held) < 40 && rng.IntN(2) == 0 {
					x, tag := f.take()
					n := uint32(tag>>flightShift) & (1<<placeBits - 1)
					if x == nil || taken[n].Add(1) != 1 {
						t.Errorf("place %d is taken twice", n)
						return
					}
					x.of = &watching{}
					held = append(held, tag)
					continue
				}
				i := rng.IntN(len(held))
				tag := held[i]
				held[i] = held[len(held)-1]
				held = held[:len(held)-1]
				x := f.end(tag)
				if x == nil {
					t.Error("a place is lost")
					return
				}
				taken[uint32(tag>>flightShift)&(1<<placeBits-1)].Add(-1)
				f.release(x, tag)
			}
		})
	}
	wg.Wait()
}
