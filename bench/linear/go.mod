module github.com/switchgear-go/switchgear/bench/linear

go 1.25.0

require github.com/switchgear-go/switchgear v0.0.0

require github.com/anishathalye/porcupine v1.3.1

replace github.com/switchgear-go/switchgear => ../..
