#!/bin/bash
# Run every fuzz target (or those named) for some seconds each, on the stable compiler.
#   fuzz/run.sh SECONDS [TARGET...]
# Ends with "N passed, N failed"; an input that failed is kept in fuzz/artifacts/TARGET. Put it
# into fuzz/seeds/TARGET/crash-WHAT, so that the normal tests keep it failing until mended.
set -uo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
export RUSTC_BOOTSTRAP=1 # cargo-fuzz wants -Z sanitizer; no nightly needed
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' ../rust-toolchain.toml)
export RUSTUP_TOOLCHAIN=$toolchain
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$PWD/target}
all=$(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | grep -v '^baraza-fuzz$')
targets=${*:-$all}
cp ../Cargo.lock Cargo.lock # the same versions as the programs have (not committed)
cd .. # cargo fuzz looks for fuzz/ here
cargo fuzz build || exit 1
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

one() { # target
    local target=$1 log=$results/$1.log
    mkdir -p "fuzz/corpus/$target"
    # Memory: 1 GiB for all, and 128 MiB for one allocation; 10 s for one input.
    if cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=1024 -malloc_limit_mb=128 \
        -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        touch "$results/$target.ok"
        echo "ok     $target: $(sed -n 's/^stat::number_of_executed_units: //p' "$log") inputs in" \
            "$seconds s, memory up to $(sed -n 's/^stat::peak_rss_mb: *//p' "$log") MB"
    else
        echo "FAILED $target"
        tail -n 30 "$log"
    fi
}

# As many at once as there are cores.
for target in $targets; do
    while [ "$(jobs -pr | wc -l)" -ge "${FUZZ_JOBS:-$(nproc)}" ]; do wait -n; done
    one "$target" &
done
wait
passed=$(find "$results" -name '*.ok' | wc -l)
failed=$(($(wc -w <<<"$targets") - passed))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
