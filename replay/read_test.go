package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// P5: cut at any byte, a file is a shorter recording that is still reproduced, and
// a note says that its end is missing.
func TestReadCut(t *testing.T) {
	file := outage(t, breaker.Settings{ResetTimeout: 20 * time.Second}, Options{Bytes: 1 << 17})
	whole := read(t, file)
	last := uint64(0)
	ends := frameEnds(file)
	for n := range len(file) {
		if n > 500 && n < len(file)-500 && n%97 != 0 && !slices.Contains(ends, n) {
			continue
		}
		trace, err := Read(bytes.NewReader(file[:n]))
		if n < ends[0] {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d: got %v, want ErrFormat", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		want := "the file is cut or damaged after call"
		if slices.Contains(ends, n) {
			want = "the end of the recording is missing"
		}
		if len(trace.Notes) != 1 || !strings.HasPrefix(trace.Notes[0], want) {
			t.Fatalf("cut at %d: notes %q, want one: %s", n, trace.Notes, want)
		}
		if trace.Complete || trace.Calls < last || trace.Calls > whole.Calls {
			t.Fatalf("cut at %d: complete is %v, with %d calls after %d, of %d", n, trace.Complete, trace.Calls, last, whole.Calls)
		}
		if trace.Calls != last {
			if v := trace.Verify(); !v.OK() {
				t.Fatalf("cut at %d: %v: %v", n, v, v.First)
			}
		}
		last = trace.Calls
	}
}

// frameEnds returns where the frames of a file end.
func frameEnds(file []byte) (ends []int) {
	for i := len(magic); i < len(file); ends = append(ends, i) {
		i += frameBytes + int(binary.LittleEndian.Uint32(file[i+6:]))
	}
	return ends
}

// A file without a recording says so, however it was made.
func TestReadNothing(t *testing.T) {
	file := outage(t, breaker.Settings{}, Options{Bytes: 1 << 15})
	broken := bytes.Clone(file)
	broken[len(magic)+20] ^= 1
	for _, data := range [][]byte{{}, file[:3], file[:len(magic)], file[:frameEnds(file)[0]-1], broken} {
		want := "its first frame is cut or damaged"
		if len(data) == 0 {
			want = "it is empty"
		}
		name := filepath.Join(t.TempDir(), "x.sgr")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, opened := Open(name)
		_, imported := Import(bytes.NewReader(data), ImportOptions{})
		_, importedFile := ImportFile(name, ImportOptions{})
		for _, err := range []error{opened, imported, importedFile} {
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes: got %v, want %q", len(data), err, want)
			}
		}
	}
}

// Of several recordings in a file, those without an end are counted.
func TestReadTwoWithoutEnd(t *testing.T) {
	one := outage(t, breaker.Settings{}, Options{Bytes: 1 << 15})
	ends := frameEnds(one)
	open := one[:ends[len(ends)-2]]
	trace, err := Read(bytes.NewReader(slices.Concat(open, one, open)))
	if err != nil || trace.Complete || len(trace.Notes) != 1 || !strings.HasPrefix(trace.Notes[0], "the end of 2 of the 3 recordings is missing") {
		t.Errorf("%v, complete is %v, notes %q", err, trace.Complete, trace.Notes)
	}
}

// P5: a byte that has changed is found, wherever it is.
func TestReadDamaged(t *testing.T) {
	file := outage(t, breaker.Settings{}, Options{Bytes: 1 << 14})
	for i := range file {
		broken := bytes.Clone(file)
		broken[i] ^= 0x10
		trace, err := Read(bytes.NewReader(broken))
		if err == nil && trace.Complete {
			t.Fatalf("byte %d has changed and the file is read as whole", i)
		}
	}
}

// Files can be concatenated.
func TestReadTwo(t *testing.T) {
	one := outage(t, breaker.Settings{}, Options{})
	other := outage(t, breaker.Settings{}, Options{Keys: KeysPlain})
	trace := read(t, append(bytes.Clone(one), other...))
	a, b := read(t, one), read(t, other)
	if trace.Calls != a.Calls+b.Calls || len(trace.Breakers) != 2 {
		t.Errorf("%d calls of %d breakers, want %d of 2", trace.Calls, len(trace.Breakers), a.Calls+b.Calls)
	}
	if v := trace.Verify(); !v.OK() || v.Reproduced != 2*a.Verify().Reproduced {
		t.Errorf("%v: %v", v, v.First)
	}
}

// A hostile file is an error or a short recording; it takes no more than a
// multiple of its size in memory, and replaying what was read does not panic.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("testdata/*.sgr")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		// Its first calls: of much more, a fuzzer tries little.
		trace, err := Read(bytes.NewReader(file))
		if err != nil {
			f.Fatal(err)
		}
		for _, l := range trace.Breakers {
			l.calls = l.calls[:min(len(l.calls), 200)]
			l.moves = l.moves[:min(len(l.moves), 3)]
		}
		trace.Lost = 1
		var short bytes.Buffer
		if _, err := trace.WriteTo(&short); err != nil {
			f.Fatal(err)
		}
		f.Add(short.Bytes())
	}
	w := new(bytes.Buffer)
	p := NewWriter(w)
	p.header(Header{})
	p.breaker(1, laneHeader{Name: "b", Fresh: true})
	p.end(0, 0)
	if err := p.flush(); err != nil {
		f.Fatal(err)
	}
	f.Add(w.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		trace, err := Read(bytes.NewReader(resum(file)))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("got %v, want ErrFormat", err)
			}
			return
		}
		calls := 0
		for _, l := range trace.Breakers {
			calls += len(l.calls)
		}
		if calls > len(file) {
			t.Errorf("%d calls from %d bytes", calls, len(file))
		}
		trace.Verify()
	})
}

// resum puts right the checksums of a file, so that a fuzzer comes past them.
func resum(file []byte) []byte {
	out := bytes.Clone(file)
	for i := len(magic); i+frameBytes <= len(out); {
		n := int(out[i+6]) | int(out[i+7])<<8 | int(out[i+8])<<16 | int(out[i+9])<<24
		if n > maxPayload || i+frameBytes+n > len(out) {
			break
		}
		sum := frameSum(out[i : i+frameBytes+n])
		out[i+10], out[i+11], out[i+12], out[i+13] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		i += frameBytes + n
	}
	return out
}

func BenchmarkRead(b *testing.B) {
	trace := synth(1, 1000, 20*time.Minute, .01)
	var file bytes.Buffer
	if _, err := trace.WriteTo(&file); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Read(bytes.NewReader(file.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(trace.Calls)*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(file.Len())/float64(trace.Calls), "bytes/call")
}

func BenchmarkVerify(b *testing.B) {
	trace := censor(outages(1), breaker.Settings{})
	for b.Loop() {
		trace.Verify()
	}
	b.ReportMetric(float64(trace.Calls)*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
