package view_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func ExampleSpark() {
	p := ops.Plot{
		Step: ops.Duration(5 * time.Second), Success: []uint32{80, 80, 80, 40, 0, 0, 1},
		Failure: []uint32{0, 0, 0, 40, 8, 0, 1}, Rejected: []uint32{0, 0, 0, 0, 72, 80, 78},
	}
	for _, line := range view.Spark(&p, 14) {
		fmt.Println(strings.TrimRight(ansi.Strip(line), " "))
	}
	// Output:
	// calls of 25s, a full bar is 80 in 5s
	//       ok █▄  ▁
	//   failed  ▄▁ ▁
	// rejected   ███
}
