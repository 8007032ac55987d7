module github.com/switchgear-go/switchgear/bench/fleet

go 1.25.0

replace (
	github.com/switchgear-go/switchgear => ../..
	github.com/switchgear-go/switchgear/fleet => ../../fleet
)

require (
	github.com/switchgear-go/switchgear v0.0.0-00010101000000-000000000000
	github.com/switchgear-go/switchgear/fleet v0.0.0-00010101000000-000000000000
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/redis/go-redis/v9 v9.22.0 // indirect
	go.uber.org/atomic v1.11.0 // indirect
	golang.org/x/sys v0.30.0 // indirect
)
