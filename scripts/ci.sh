#!/usr/bin/env bash
# Everything a change must pass. Programs that are missing are a failure here.
set -euo pipefail
cd "$(dirname "$0")/.."
export HOLDFAST_REQUIRE_PEERS=1
export LIMIT="${LIMIT:-20m}" # against hanging, on machines much slower than ours

out=$(mktemp)
trap 'rm -f "$out"' EXIT

step() {
	local began=$SECONDS
	echo "=== $*"
	if ! "$@" 2>&1 | tee "$out"; then
		failed "$* after $((SECONDS - began)) s"
		exit 1
	fi
	echo "=== $* took $((SECONDS - began)) s"
}

# failed repeats at the very end what went wrong in a step, since logs are often cut at
# their beginning: what failed tests said, the step's last lines, the tests' names.
failed() {
	local bad='^ *--- FAIL: |^panic: |^fatal error: |WARNING: DATA RACE'
	echo
	echo "=== FAILED: $1"
	grep -E -A 15 -- "$bad" "$out" | cut -c 1-400 | head -n 150 || true
	echo "=== the last lines of the step"
	tail -n 15 "$out" | cut -c 1-400
	echo "=== FAILED: $1"
	grep -E -- "$bad|^FAIL" "$out" | cut -c 1-400 | head -n 60 || true
}

# fetch takes the modules from the network, the only step that needs it besides the build
# of the linter; proxies fail now and then.
fetch() {
	go mod download || go mod download || go mod download
}

step fetch
step make build
step make lint
step make test
step make race
step make verify
step make fuzz-smoke FUZZTIME="${FUZZTIME:-2s}"
step make arm64
step make churn DURATION=20s RATE=300
step make bench-quick
echo "=== all passed in $SECONDS s"
