module github.com/switchgear-go/switchgear/docs

go 1.25.0

replace github.com/switchgear-go/switchgear => ../

require (
	github.com/switchgear-go/switchgear v0.0.0-00010101000000-000000000000
	github.com/yuin/goldmark v1.8.7
)
