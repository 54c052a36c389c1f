#!/usr/bin/env bash
# Everything a change must pass. Programs that are missing are a failure here.
set -euo pipefail
cd "$(dirname "$0")/.."
export HOLDFAST_REQUIRE_PEERS=1

step() {
	local began=$SECONDS
	echo "=== $*"
	"$@"
	echo "=== $* took $((SECONDS - began)) s"
}

step make build
step make lint
step make test
step make race
step make verify
step make fuzz-smoke FUZZTIME="${FUZZTIME:-10s}"
step make arm64
step make churn DURATION=20s RATE=300
step make bench-quick
echo "=== all passed in $SECONDS s"
