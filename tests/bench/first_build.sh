#!/bin/sh
# The first build of the grader, as a learner waits for it, of this checkout and of another commit, one after the other in
# one run: real time, CPU time, and their ratio. Usage: tests/bench/first_build.sh [COMMIT]
set -eu
cd "$(dirname "$0")/../.."
before=${1:-HEAD~1}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
trap 'exit 1' INT TERM
cargo fetch --quiet --locked
for side in before now; do
    mkdir "$room/$side"
    if [ "$side" = now ]; then git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$room/$side"
    else git archive "$before" | tar -xf - -C "$room/$side"; fi
    (
        cd "$room/$side"
        begin=$(date +%s%N)
        CARGO_TARGET_DIR=$room/$side/target cargo build --quiet --offline --package grader
        end=$(date +%s%N)
        # The shell's own count of what its children took.
        times | awk -v real=$(((end - begin) / 1000000)) 'NR == 2 { split($1 "m" $2, t, "[ms]+"); print real / 1000, t[1] * 60 + t[2] + t[3] * 60 + t[4] }'
    ) >"$room/$side.txt"
done
awk 'NR == 1 { r = $1; c = $2 } NR == 2 {
    printf "before   %6.1f s   %6.1f s of CPU\n", r, c
    printf "now      %6.1f s   %6.1f s of CPU\n", $1, $2
    printf "ratio    %6.2f     %6.2f\n", $1 / r, $2 / c
}' "$room/before.txt" "$room/now.txt"
