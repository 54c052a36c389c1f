#!/usr/bin/env bash
# Runs every fuzz target of the module for a while: scripts/fuzz.sh 10s
# go test fuzzes one target of one package at a time, hence the loop.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-10s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fuzz() { # FILE TARGET
	go test "./$(dirname "$1")" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -parallel 2 2>&1 | tee "$out"
}

# go test sometimes takes the end of its own time for a failure (golang/go#75804): then
# there is a deadline and no failing input, and the target is run again, twice at most.
ended_late() {
	grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input' "$out"
}

count=0
while IFS=: read -r file target; do
	echo "== $file $target"
	tries=1
	until fuzz "$file" "$target"; do
		ended_late && [ "$tries" -lt 3 ] || exit 1
		tries=$((tries + 1))
		echo "== try $tries"
	done
	count=$((count + 1))
done < <(grep -roEH --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' -- */ | sed 's/:func /:/' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$count fuzz targets, $time each: ok"
