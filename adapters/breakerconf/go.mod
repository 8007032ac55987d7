module github.com/switchgear-go/switchgear/adapters/breakerconf

go 1.25.0

require (
	github.com/switchgear-go/switchgear v0.0.0
	gopkg.in/ini.v1 v1.67.3
)

replace github.com/switchgear-go/switchgear => ../../
