#!/usr/bin/env bash
# Runs the test suites of third-party modules through the adapters and without
# them, and prints the difference. docs/suites.md has a run's table and says
# what is compared and how. It needs Go, gcc, jq, PostgreSQL and redis-server,
# some 2 GB below $TMPDIR, and a quarter of an hour. Not part of ./check.
# Usage: adapters/suites/suites.sh [pgx|sqlx|http|grpc|redis ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

PGX=github.com/jackc/pgx/v5@v5.12.0
SQLX=github.com/jmoiron/sqlx@v1.4.0
GRPC=google.golang.org/grpc@v1.84.0
REDIS=github.com/redis/go-redis/v9@v9.22.0

work=$(mktemp -d "${TMPDIR:-/tmp}/suites.XXXXXX")
chmod 755 "$work"
pids=()
cleanup() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	chmod -R u+w "$work" && rm -rf "$work"
}
trap cleanup EXIT
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
system_go=$(go env GOROOT)/bin/go

# patch FILE SED-SCRIPT: a patch that changes nothing would make the comparison
# one of a suite with itself.
patch() {
	cp "$1" "$1.before"
	sed -i "$2" "$1"
	if cmp -s "$1" "$1.before"; then
		echo "suites: the patch of $1 no longer applies" >&2
		exit 1
	fi
	rm "$1.before"
}

# A Go whose database/sql and net/http have a place to put a wrapper in. They
# cannot import other modules, so the breaker lies beside them, renamed.
patched_go() {
	cp -a "$("$system_go" env GOROOT)" "$work/go"
	local src=$work/go/src
	patch "$src/database/sql/sql.go" '
		s|^func OpenDB(c driver.Connector) \*DB {$|var SuitesWrap = func(c driver.Connector) driver.Connector { return c }\nvar SuitesRaw = func(c any) any { return c }\n\n&\n\tc = SuitesWrap(c)|
		s|\terr = f(dc.ci)$|\terr = f(SuitesRaw(dc.ci))|'
	patch "$src/net/http/client.go" '
		s|^func (c \*Client) transport() RoundTripper {$|var SuitesWrap = func(rt RoundTripper) RoundTripper { return rt }\n\nfunc (c *Client) transport() RoundTripper { return SuitesWrap(c.bareTransport()) }\n\nfunc (c *Client) bareTransport() RoundTripper {|'
	local package
	for package in $(cd "$root" && "$system_go" list -deps ./adapters/breakerhttp | sed -n 's|^github.com/switchgear-go/switchgear/||p'); do
		mkdir -p "$src/switchgear/$package"
		cp "$root/$package"/*.go "$src/switchgear/$package/"
		rm -f "$src/switchgear/$package"/*_test.go
		sed -i 's|"github.com/switchgear-go/switchgear/|"switchgear/|' "$src/switchgear/$package"/*.go
	done
	guard http "$src/net/http" http_test
	sed -i 's|"github.com/switchgear-go/switchgear/|"switchgear/|' "$src/net/http"/suites_*_test.go
	export GOROOT=$work/go PATH=$work/go/bin:$PATH
}

# fetch MODULE@VERSION [ADAPTER]: a copy of the module that can be changed, with
# the adapters of this checkout as its requirements.
fetch() {
	local dir
	dir=$(go mod download -json "$1" | jq -r .Dir)
	copy=$work/$(echo "${1%@*}" | tr / _)
	cp -r "$dir" "$copy"
	chmod -R u+w "$copy"
	cd "$copy"
	local module=github.com/switchgear-go/switchgear
	go mod edit -go=1.25.0 -require=$module@v0.0.0 -replace=$module="$root"
	if [ $# -gt 1 ]; then
		go mod edit -require=$module/adapters/"$2"@v0.0.0 -replace=$module/adapters/"$2"="$root/adapters/$2"
	fi
}

# guard FILE DIR PACKAGE: puts the adapter into the tests of a package.
guard() {
	local file
	for file in "$1" count; do
		sed "s/^package PACKAGE/package $3/" "$here/guards/$file.go.txt" >"$2/suites_${file}_test.go"
	done
}

# results: test2json on standard input, "status name" on standard output.
results() { jq -rR 'fromjson? | select(.Test and (.Action == "pass" or .Action == "fail" or .Action == "skip")) | "\(.Action) \(.Package // "") \(.Test)"' | sort -u; }

# both NAME COMMAND...: runs the command twice, with its test2json on standard
# output, and compares.
both() {
	local name=$1 how
	shift
	for how in without with; do
		echo "== $name, $how the adapter" >&2
		if [ $how = with ]; then export SUITES_GUARD=$work/$name.calls; else unset SUITES_GUARD; fi
		"$@" >"$work/$name.$how.json" 2>"$work/$name.$how.err" || true
		results <"$work/$name.$how.json" >"$work/$name.$how"
		if [ ! -s "$work/$name.$how" ]; then
			echo "suites: $name ran no test" >&2
			tail -n 30 "$work/$name.$how.err" "$work/$name.$how.json" >&2
			exit 1
		fi
	done
	unset SUITES_GUARD
	different=$(diff "$work/$name.without" "$work/$name.with" | grep '^[<>]' || true)
	report "$name"
	if [ -n "$different" ] && [ "$1 $2" = "go test" ]; then repeat "$@"; fi
}

# repeat COMMAND...: runs each test that differs twenty times without the
# adapter, through a wrapper that does nothing, and with the adapter. Some tests
# know no wrapped client, and some fail by chance.
repeat() {
	local test how failures
	# Two levels of a name: grpc-go has all its tests below one. A name whose
	# subtests differ too differs because of them.
	while read -r test; do
		differences+="  $test, failures in 20 runs:"
		for how in without nothing with; do
			unset SUITES_GUARD SUITES_NOTHING
			case $how in
			nothing) export SUITES_NOTHING=1 ;;
			with) export SUITES_GUARD=/dev/null ;;
			esac
			failures=$("$@" -count=20 -run "^${test/\//\$/^}\$" 2>/dev/null |
				jq -rR --arg t "$test" 'fromjson? | select(.Action == "fail" and .Test == $t) | .Test' | wc -l || true) # go test fails too
			differences+=" $how $failures"
		done
		differences+=$'\n'
	done < <(printf '%s\n' "$different" | cut -d' ' -f4 | cut -d/ -f1,2 | sort -ru |
		awk '{ if (index(last, $0 "/") != 1) print; last = $0 }' | sort)
	unset SUITES_GUARD SUITES_NOTHING
}

count() { grep -c "^$2 " "$work/$1" || true; }

report() {
	local name=$1 how row="| $1 "
	for how in without with; do
		row+="| $(count "$name.$how" pass) / $(count "$name.$how" fail) / $(count "$name.$how" skip) "
	done
	row+="| $(stat -c %s "$work/$name.calls" 2>/dev/null || echo 0) | $(printf '%s' "$different" | cut -d' ' -f3- | sort -u | grep -c . || true) |"
	rows+=("$row")
	if [ -n "$different" ]; then differences+="$name"$'\n'"$different"$'\n'; fi
}

# PostgreSQL refuses to run as root.
unprivileged=()
[ "$(id -u)" != 0 ] || unprivileged=(setpriv --reuid=postgres --regid=postgres --clear-groups)

start_postgres() {
	[ -z "${PGHOST_:-}" ] || return 0
	local bin
	bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -1)")
	PGHOST_=$work/pg
	mkdir "$PGHOST_"
	if [ "$(id -u)" = 0 ]; then chown postgres "$PGHOST_"; fi
	"${unprivileged[@]}" "$bin/initdb" -D "$PGHOST_/data" -A trust -U postgres --locale=C -E UTF8 --no-sync >/dev/null
	(cd "$PGHOST_" && exec "${unprivileged[@]}" "$bin/postgres" -D data -p 5499 -h '' -k "$PGHOST_" -F -c wal_level=logical) >"$work/pg.log" 2>&1 &
	pids+=($!)
	local i
	for i in $(seq 100); do "$bin/pg_isready" -q -h "$PGHOST_" -p 5499 && break; sleep 0.1; done
	"$bin/psql" -q -h "$PGHOST_" -p 5499 -U postgres -c 'CREATE DATABASE pgx_test' -c 'CREATE DATABASE sqlx'
	"$bin/psql" -q -h "$PGHOST_" -p 5499 -U postgres -d pgx_test -c 'CREATE EXTENSION IF NOT EXISTS hstore' -c 'CREATE DOMAIN uint64 AS numeric(20,0)'
}

suite_pgx() {
	start_postgres
	fetch $PGX
	guard sql stdlib stdlib_test
	go mod tidy >/dev/null 2>&1
	export PGX_TEST_DATABASE="host=$PGHOST_ port=5499 user=postgres dbname=pgx_test"
	both pgx go test -json -count=1 -vet=off ./stdlib
}

suite_sqlx() {
	start_postgres
	fetch $SQLX
	guard sql . sqlx
	go mod tidy >/dev/null 2>&1
	export SQLX_POSTGRES_DSN="host=$PGHOST_ port=5499 user=postgres dbname=sqlx sslmode=disable"
	export SQLX_SQLITE_DSN=$work/sqlx.db SQLX_MYSQL_DSN=skip CGO_ENABLED=1
	both sqlx go test -json -count=1 -vet=off .
}

suite_http() {
	cd "$work/go/src"
	# The test that is left out hangs behind any transport that copies a request:
	# it waits for the deprecated Transport.CancelRequest.
	GOFLAGS='' both http go test -json -count=1 -vet=off -short -skip '^TestTransportAndServerSharedBodyRace$' net/http net/http/httputil net/http/httptest
}

suite_grpc() {
	fetch $GRPC breakergrpc
	guard grpc test test
	go mod tidy >/dev/null 2>&1
	both grpc go test -json -count=1 -vet=off -timeout 20m ./test
}

suite_redis() {
	fetch $REDIS breakerredis
	local kind
	for kind in '' Failover; do
		local file=redis.go
		[ -z "$kind" ] || file=sentinel.go
		patch $file "s|^func New${kind}Client(\(\w*\) \*\(\w*\)) \*Client {\$|func New${kind}Client(\1 *\2) *Client { c := suitesNew${kind}Client(\1); SuitesWrap(c); return c }\n\nfunc suitesNew${kind}Client(\1 *\2) *Client {|"
	done
	patch osscluster.go 's|^func NewClusterClient(opt \*ClusterOptions) \*ClusterClient {$|func NewClusterClient(opt *ClusterOptions) *ClusterClient { c := suitesNewClusterClient(opt); SuitesWrap(c); return c }\n\nfunc suitesNewClusterClient(opt *ClusterOptions) *ClusterClient {|'
	patch ring.go 's|^func NewRing(opt \*RingOptions) \*Ring {$|func NewRing(opt *RingOptions) *Ring { c := suitesNewRing(opt); SuitesWrap(c); return c }\n\nfunc suitesNewRing(opt *RingOptions) *Ring {|'
	# Nodes and shards are made by NewClient and guarded by their cluster or ring.
	patch osscluster.go 's|= NewClient$|= suitesNewClient|'
	patch ring.go 's|return NewClient(opt)|return suitesNewClient(opt)|'
	cat >suites.go <<'GO'
package redis

var SuitesWrap = func(UniversalClient) {}
GO
	guard redis . redis_test
	go mod tidy >/dev/null 2>&1
	go test -c -vet=off -o "$work/redis.test" .
	both redis isolated "$here/redis.sh" "$work"
}

# isolated COMMAND...: the suite's ports are fixed, so it gets a network of its
# own where that is possible.
isolated() {
	if [ "$(id -u)" = 0 ]; then unshare --net --fork --pid --kill-child --mount-proc sh -c 'ip link set lo up && exec "$@"' sh "$@"; else "$@"; fi
}

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(pgx sqlx http grpc redis)
rows=() differences='' different=''
patched_go
for suite in "${suites[@]}"; do
	"suite_$suite"
done

printf '\n| suite | without: passed / failed / skipped | with | calls judged | tests that differ |\n|---|---|---|---|---|\n'
printf '%s\n' "${rows[@]}"
printf '\n%s' "${differences:-No difference.}"
echo
