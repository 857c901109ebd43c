#!/usr/bin/env bash
# The author's gate: seconds of processor time (user and system) with each module a program of its own, and with many of
# them in one, and the ratio. Both ways must come to the same report. Usage: tests/bench/gate.sh [EXERCISE…]
set -euo pipefail
cd "$(dirname "$0")/../.."
exercises=("$@")
[ $# -gt 0 ] || exercises=(scheduler/taints scheduler/queue)
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
trap 'exit 1' INT TERM
export LC_ALL=C
TIMEFORMAT='%U %S'

# Processor seconds of a command of the grader for an exercise of which nothing was built before.
seconds() {
    report=$1
    shift
    rm -rf "target/grade/together/$2"
    { time target/debug/grader "$@" --format json >"$report" 2>"$report.said"; } 2>"$report.time" ||
        { cat "$report" "$report.said" >&2; exit 1; }
    awk '{ print $1 + $2 }' "$report.time"
}

cargo build --quiet --package grader --package mutate
printf '%-32s %-8s %8s %9s %6s\n' exercise command apart together ratio
for exercise in "${exercises[@]}"; do
    for command in check mutants; do
        apart=$(seconds "$reports/apart" "$command" "$exercise" --apart)
        together=$(seconds "$reports/together" "$command" "$exercise")
        cmp "$reports/apart" "$reports/together"
        printf '%-32s %-8s %7.1fs %8.1fs %6s\n' "$exercise" "$command" "$apart" "$together" \
            "$(awk -v a="$apart" -v b="$together" 'BEGIN { printf "%.1f", a / b }')"
    done
done
