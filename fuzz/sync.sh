#!/bin/sh
# Write fuzz_targets/*.rs and the list in Cargo.toml anew from TARGETS in
# testing/fuzz-targets/src/lib.rs (a test there fails while they differ).
set -eu
cd "$(dirname "$0")"
names=$(sed -n 's/^    ("\([a-z_]*\)", [a-z_]*::[a-z_]*),$/\1/p' ../testing/fuzz-targets/src/lib.rs)
rm -f fuzz_targets/*.rs
mkdir -p fuzz_targets
cat >Cargo.toml <<'T'
# The cargo-fuzz workspace, apart from the main one: libFuzzer builds everything anew with
# its own flags. The list of targets is written by sync.sh.
[package]
name = "baraza-fuzz"
version = "0.0.0"
edition = "2024"
publish = false
license = "GPL-3.0-or-later"

[package.metadata]
cargo-fuzz = true

[workspace]

[dependencies]
baraza-fuzz-targets = { path = "../testing/fuzz-targets" }
libfuzzer-sys = "0.4"

[profile.release]
debug = "line-tables-only"
T
for name in $names; do
    cat >"fuzz_targets/$name.rs" <<T
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    baraza_fuzz_targets::run("$name", data);
});
T
    cat >>Cargo.toml <<T

[[bin]]
name = "$name"
path = "fuzz_targets/$name.rs"
test = false
doc = false
bench = false
T
done
