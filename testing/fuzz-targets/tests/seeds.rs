//! Every seed through its target, on the stable compiler; and that nothing is forgotten.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use baraza_fuzz_targets::{TARGETS, run};

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = fuzz_folder().join("seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_seed_passes_its_target() {
    for (name, _) in TARGETS {
        let seeds = seeds(name);
        assert!(
            !seeds.is_empty(),
            "{name} has no seeds: see fuzz/make_seeds.py"
        );
        let mut understood = 0;
        for seed in seeds {
            println!("{name} {}", seed.display()); // shown if it panics
            understood += usize::from(run(name, &fs::read(&seed).unwrap()));
        }
        assert!(understood > 0, "{name} understands none of its seeds");
    }
}

/// Each seed cut at every length (in steps), and with single bytes flipped.
#[test]
fn damaged_seeds_pass_too() {
    for (name, _) in TARGETS {
        for seed in seeds(name).iter().take(8) {
            let whole = fs::read(seed).unwrap();
            let step = whole.len() / 24 + 1;
            for at in (0..whole.len()).step_by(step) {
                println!("{name} {} at {at}", seed.display());
                run(name, &whole[..at]);
                let mut flipped = whole.clone();
                flipped[at] ^= 0x41;
                run(name, &flipped);
            }
        }
    }
}

#[test]
fn every_target_has_its_file() {
    let expected: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files: BTreeSet<_> = fs::read_dir(fuzz_folder().join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, expected);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in expected {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "fuzz/Cargo.toml lacks {name}"
        );
    }
}
