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
passed=0 failed=0
for target in $targets; do
    corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    log=$(mktemp)
    # Memory: 512 MiB for all, and 2 x 64 MiB for one allocation; 10 s for one input.
    if cargo fuzz run "$target" "$corpus" "fuzz/seeds/$target" -- -max_total_time="$seconds" \
        -max_len=65536 -rss_limit_mb=1024 -malloc_limit_mb=128 -timeout=10 \
        -print_final_stats=1 >"$log" 2>&1; then
        passed=$((passed + 1))
        runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
        peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
        echo "ok     $target: $runs inputs in $seconds s, memory up to $peak MB"
    else
        failed=$((failed + 1))
        echo "FAILED $target"
        tail -n 30 "$log"
    fi
    rm -f "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
