module github.com/switchgear-go/switchgear/adapters/breakerconnect

go 1.25.0

require (
	connectrpc.com/connect v1.21.0
	github.com/switchgear-go/switchgear v0.0.0
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260706201446-f0a921348800
	google.golang.org/protobuf v1.36.11
)

replace github.com/switchgear-go/switchgear => ../../
