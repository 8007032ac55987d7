#!/usr/bin/env bash
# Starts the servers that go-redis' suite wants, on its ports, and runs the
# suite, in one order each time. Prints test2json. Usage: redis.sh WORK-FOLDER, by suites.sh.
set -euo pipefail
work=$1
data=$(mktemp -d "$work/redis.XXXXXX")
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
server() {
	local port=$1
	shift
	mkdir -p "$data/$port"
	: >"$data/$port/redis.conf"
	redis-server "$data/$port/redis.conf" --port "$port" --dir "$data/$port" --save '' --enable-debug-command yes "$@" >"$data/$port/log" 2>&1 &
	pids+=($!)
}
for port in 6379 6380 6390 6391 6392 9121 9122 9123; do server "$port"; done
for port in 26379 26380 26381; do server "$port" --sentinel; done
for port in 16600 16601 16602 16603 16604 16605; do server "$port" --cluster-enabled yes; done
for port in 6379 16605 26381; do
	until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
done
# What needs the modules of Redis Stack, a later Redis or TLS fails or skips in
# both runs. Each spec of the suite is one test here.
cd "$work/github.com_redis_go-redis_v9"
REDIS_VERSION=7.0 timeout 900 "$work/redis.test" -test.v=test2json -test.timeout 14m -ginkgo.seed=1 -ginkgo.junit-report="$data/report.xml" |
	go tool test2json -p go-redis || true
sed -n 's/.*<testcase name="\([^"]*\)".* status="\([a-z]*\)".*/\2\t\1/p' "$data/report.xml" |
	jq -cR 'split("\t") | {Action: ({passed: "pass", skipped: "skip", pending: "skip"}[.[0]] // "fail"), Package: "spec", Test: .[1]}'
