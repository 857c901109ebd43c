#!/bin/sh
# Edit → verdict of one exercise, warm: `cargo grade run` beside `rustlings run`, alternating in one run, and the same
# without the sandbox. Prints the median of each in seconds, and the ratio. Usage: tests/bench/edit_to_verdict.sh [ROUNDS]
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-15}
bench=$PWD/target/bench
exercise=scheduler/taints
mkdir -p "$bench"

[ -x "$bench/bin/rustlings" ] || cargo install --quiet --root "$bench" --version 6.5.0 rustlings
# Inside of a workspace rustlings would add itself to it.
room=$(mktemp -d)
(cd "$room" && printf '\n' | "$bench/bin/rustlings" init >/dev/null)
theirs=$room/rustlings/exercises/01_variables/variables1.rs
# A solved exercise on both sides: the verdict is a pass.
cp "$room/rustlings/solutions/01_variables/variables1.rs" "$theirs"
ours=$bench/taints.rs
cp "tests/modules/$exercise/correct/$(ls tests/modules/$exercise/correct | head -1)" "$ours"
mine=exercises/$exercise.rs
kept=$bench/kept.rs
cp "$mine" "$kept"
trap 'cp "$kept" "$mine"; rm -rf "$room"' EXIT
trap 'exit 1' INT TERM

# The command that runs, then its real time appended to a file. Each edit changes code, not only a comment.
timed() {
    file=$1
    shift
    begin=$(date +%s%N)
    "$@" >/dev/null 2>&1 || { echo "failed: $*" >&2; exit 1; }
    end=$(date +%s%N)
    echo "$(((end - begin) / 1000))" >>"$file"
}
median() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }

cargo build --quiet --package grader
cp "$ours" "$mine"
target/debug/grader run "$exercise" >/dev/null
(cd "$room/rustlings" && "$bench/bin/rustlings" run variables1 >/dev/null 2>&1)
rm -f "$bench/ours.txt" "$bench/bare.txt" "$bench/alias.txt" "$bench/theirs.txt"
for round in $(seq "$rounds"); do
    edit="#[allow(dead_code)] fn edited() -> u64 { $round }"
    { cat "$ours"; echo "$edit"; } >"$mine"
    timed "$bench/ours.txt" target/debug/grader run "$exercise"
    { cat "$ours"; echo "$edit" | sed 's/ }$/ * 2 }/'; } >"$mine"
    timed "$bench/bare.txt" target/debug/grader run --sandbox off "$exercise"
    { cat "$ours"; echo "$edit + 1"; } | sed 's/} + 1$/+ 1 }/' >"$mine"
    timed "$bench/alias.txt" cargo grade run "$exercise"
    { cat "$room/rustlings/solutions/01_variables/variables1.rs"; echo "$edit"; } >"$theirs"
    (cd "$room/rustlings" && timed "$bench/theirs.txt" "$bench/bin/rustlings" run variables1)
done
awk -v a="$(median "$bench/ours.txt")" -v o="$(median "$bench/bare.txt")" -v b="$(median "$bench/alias.txt")" -v c="$(median "$bench/theirs.txt")" 'BEGIN {
    printf "grader, as in watch    %.3f s   ratio %.2f\n", a / 1e6, a / c
    printf "without the sandbox    %.3f s   the sandbox costs %.0f ms\n", o / 1e6, (a - o) / 1e3
    printf "cargo grade run        %.3f s   ratio %.2f\n", b / 1e6, b / c
    printf "rustlings run          %.3f s\n", c / 1e6
}'
