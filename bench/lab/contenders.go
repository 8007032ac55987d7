package lab

import "github.com/switchgear-go/switchgear/breaker"

// How a contender is run.
type kind string

const (
	ourEngine kind = "ours"
	realRival kind = "real"
	aModel    kind = "model"
)

// A contender is one row of the tables.
type contender struct {
	name     string
	kind     kind
	settings breaker.Settings // of ours
	build    func() any       // of the others: a subject or a wrapper; real ones are built in their bubble
}

func contenders() []contender {
	all := settings()
	all = append(all, rivals()...)
	return append(all, models()...)
}
