#!/bin/bash
# Everything that must pass, on a clean checkout: set-up, cargo tests, the simulator, the app in
# a browser, the interop matrix with real peers. Prints each phase with its time. CI=1: no colour, and a
# skipped or ignored test is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
target=${CARGO_TARGET_DIR:-target}
logs=$target/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0 begun=$SECONDS
phases=()

phase() { # name command...
    local name=$1 start=$SECONDS code log
    shift
    log=$logs/${name// /-}.log
    echo "=== $name: $*"
    # Shown from the file and not through a pipe: that would last as long as whatever the
    # phase left running. What is in the file when the marker ends is shown to its end.
    : >"$log"
    sleep infinity &
    local marker=$!
    disown
    trap 'kill "$marker"; exit 130' INT TERM
    tail --pid="$marker" -n +1 -s 0.2 -f "$log" &
    local shown=$!
    "$@" >"$log" 2>&1
    code=$?
    trap - INT TERM
    kill "$marker"
    wait "$shown"
    phases+=("$(printf '%-6s %4d s  %s' "$([ "$code" = 0 ] && echo ok || echo FAILED)" \
        $((SECONDS - start)) "$name")")
    # Each tool ends with "N passed, N failed"; cargo says it once for each test binary.
    local counts
    counts=$(grep -oE '[0-9]+ passed[;,] [0-9]+ failed([;,] [0-9]+ (ignored|skipped))?' "$log" |
        awk '{p += $1; f += $3; s += $5} END {print p + 0, f + 0, s + 0}')
    read -r p f s <<<"$counts"
    [ "$code" = 0 ] || [ "$f" != 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    return "$code"
}

summary() {
    echo
    printf '%s\n' "${phases[@]}"
    echo "logs: $logs; $((SECONDS - begun)) s in all"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] || exit 1
    if [ "$skipped" != 0 ] && [ -n "${CI:-}" ]; then
        echo "CI: nothing may be skipped"
        exit 1
    fi
    exit 0
}

# Tests that need a real peer fail without it instead of passing unseen.
export BARAZA_REQUIRE_PEERS=1

phase "set-up" scripts/setup.sh test || summary
phase "set-up of the browser" scripts/setup.sh e2e || summary
phase "web app" scripts/web.sh build || summary
phase "web tests" scripts/web.sh test
# This makes the programs too: to build them by themselves would build most libraries again,
# as their features differ.
phase "build" cargo test --locked --workspace --no-run --quiet || summary
phase "cargo test" cargo test --locked --workspace --no-fail-fast --quiet
phase "simulator" "$target/debug/baraza-sim" smoke
phase "conformance of names" testing/conformance/run.py --baraza "$target/debug/baraza" --only names
phase "conformance of the node" testing/conformance/run.py --baraza "$target/debug/baraza" \
    --only node --phases examples,coverage
phase "hostile packets" testing/peers/hostile.py --baraza "$target/debug/baraza"
phase "kill -9" testing/peers/crash.py --kills 40 --baraza "$target/debug/baraza" \
    --foreign "$target/debug/jami-peer"
phase "smoke with real peers" testing/peers/smoke.py --steps chat,absence \
    --foreign "$target/debug/jami-peer" --play alice
phase "the app in a browser" node web/e2e/run.mjs --no-pictures
phase "the app without daemons" node web/e2e/more.mjs --no-pictures
phase "interop matrix" testing/peers/matrix.py --subset test \
    --foreign "$target/debug/jami-peer" --baraza "$target/debug/baraza"
summary
