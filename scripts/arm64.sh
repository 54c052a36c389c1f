#!/usr/bin/env bash
# Builds everything for arm64, and runs unit tests there under qemu-user.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOARCH=arm64 CGO_ENABLED=0

go build ./...
go test -count=1 -run '^$' -exec true ./... >/dev/null # compiles the tests, too

emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)
if [ -z "$emulator" ]; then
	echo "built for arm64; qemu-aarch64 is missing, so no test ran there"
	[ -z "${HOLDFAST_REQUIRE_PEERS:-}" ]
	exit
fi
# What starts processes or measures them stays out: test/ and bench/ run the
# binary itself, whose shards ask more of the kernel than the emulator passes on.
packages=$(go list ./... | grep -vE '/(test|bench|cmd)(/|$)')
# shellcheck disable=SC2086 # one word per package
go test -short -exec "$emulator" $packages
