#!/usr/bin/env bash
# Measures bin/holdfast beside a build of another revision, interleaved:
# scripts/bench-cmp.sh REVISION [flags of bench/run]
# The revision is built in a worktree of its own, which is removed in the end.
set -euo pipefail
cd "$(dirname "$0")/.."

revision=${1:?revision to compare with}
shift
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/tree" 2>/dev/null || true; rm -rf "$dir"' EXIT

git worktree add --quiet --detach "$dir/tree" "$revision"
version=$(git describe --tags --always "$revision")
(cd "$dir/tree" && go build -trimpath -buildvcs=false -ldflags "-X main.version=$version" -o "$dir/base" ./cmd/holdfast)

go run ./bench/run -base "$dir/base" -peers base,holdfast -scenarios echo,closed,storm,bulk,http,memory "$@"
