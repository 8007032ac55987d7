module github.com/switchgear-go/switchgear/fleet

go 1.25.0

replace github.com/switchgear-go/switchgear => ../

require github.com/switchgear-go/switchgear v0.0.0-00010101000000-000000000000
