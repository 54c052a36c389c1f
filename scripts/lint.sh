#!/usr/bin/env bash
# Formatting, vet for both architectures, shell scripts, golangci-lint.
# scripts/lint.sh MODULE@VERSION of golangci-lint
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files -co --exclude-standard -- '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'gofmt would change:\n%s\n' "$unformatted" >&2
	exit 1
fi
go vet ./...
go vet -tags verify ./...
GOARCH=arm64 go vet ./...

if command -v shellcheck >/dev/null; then
	shellcheck .ci/run scripts/*.sh
elif [ -n "${HOLDFAST_REQUIRE_PEERS:-}" ]; then
	echo "shellcheck is missing" >&2
	exit 1
else
	echo "shellcheck is missing; the scripts are not checked"
fi

# Built once into out/: `go run` would link its 70 MB anew each time.
linter=$PWD/out/golangci-lint-${1##*@}
if [ ! -x "$linter" ]; then
	install() { GOBIN=$PWD/out go install "$1"; }
	install "$1" || install "$1" # from the network, which fails now and then
	mv out/golangci-lint "$linter"
fi
"$linter" run ./...
