#!/usr/bin/env bash
# Samples a running process and prints where its CPU time goes: shares of the kernel, of
# our code and of the Go runtime, the functions at the top, and every function of the Go
# runtime that was seen, so that a lock, a channel or an allocation on the data path shows.
# Needs perf; the clock is sampled, so no hardware counters are needed.
#
#   scripts/profile.sh PID [SECONDS]       e.g. while a bench runs
#   go run ./bench/syscalls -peers holdfast -loads sessions -d 8s -during 'scripts/profile.sh PID 5'
set -euo pipefail

pid=${1:?usage: scripts/profile.sh PID [SECONDS]}
seconds=${2:-5}
top=${TOP:-25}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

perf record -q -e cpu-clock -F 999 -g -p "$pid" -o "$dir/data" -- sleep "$seconds" >"$dir/log" 2>&1 || {
	cat "$dir/log" >&2
	exit 1
}
# A line for each sample: the innermost function first, its callers behind it.
perf script -i "$dir/data" -F ip,sym 2>/dev/null | awk '
	NF == 0 { if (stack != "") print stack; stack = ""; next }
	{ $1 = ""; sub(/^ /, ""); gsub(/ /, "_"); sub(/\+0x[0-9a-f]+$/, ""); stack = stack == "" ? $0 : stack " " $0 }
	END { if (stack != "") print stack }' >"$dir/stacks"

samples=$(wc -l <"$dir/stacks")
if [ "$samples" = 0 ]; then
	echo "no samples: the process was idle"
	exit 0
fi
echo "$samples samples in $seconds s"
echo

# What a sample is: the kernel, or in which package the innermost Go function is.
awk '
	function kind(f) {
		if (f ~ /^internal\/runtime\/syscall/) return "system call stubs of Go"
		if (f ~ /^runtime\./ || f ~ /^internal\/runtime\//) return "Go runtime"
		if (f ~ /^holdfast\//) { split(f, p, "."); return p[1] }
		if (f ~ /^[a-z0-9\/.-]+\.[A-Za-z(]/) { split(f, p, "."); return "Go, " p[1] }
		return "kernel"
	}
	{ count[kind($1)]++ }
	END { for (k in count) printf "%6.2f%%  %s\n", 100 * count[k] / NR, k }' "$dir/stacks" | sort -rn
echo
echo "functions, by their own time:"
awk '{ count[$1]++ } END { for (f in count) printf "%6.2f%%  %s\n", 100 * count[f] / NR, f }' "$dir/stacks" |
	sort -rn | awk -v n="$top" 'NR <= n'
echo
echo "functions of the Go runtime anywhere in a stack, with what they called, but for its entries:"
awk '
	{
		delete seen
		for (i = 1; i <= NF; i++)
			if ($i ~ /^runtime\./ && $i !~ /^runtime\.(goexit|main|mstart|mstart0|mstart1|mcall|systemstack)/ && !seen[$i]++)
				count[$i]++
	}
	END { for (f in count) printf "%6.2f%%  %s\n", 100 * count[f] / NR, f }' "$dir/stacks" | sort -rn | awk 'NR <= 40'
echo
echo "of these, called by a function of holdfast:"
awk '
	{
		for (i = 1; i <= NF && $i !~ /^holdfast\//; i++) if ($i ~ /^runtime\./) last = $i
		if (i <= NF && i > 1 && last != "") count[$i " -> " last]++
		last = ""
	}
	END { for (f in count) printf "%6.2f%%  %s\n", 100 * count[f] / NR, f }' "$dir/stacks" | sort -rn | awk 'NR <= 20'
