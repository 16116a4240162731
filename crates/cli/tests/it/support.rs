use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// `baraza` with nothing of the environment that it reads.
pub(crate) fn baraza(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baraza"));
    for name in [
        "BARAZA_ACCOUNT",
        "BARAZA_PASSWORD",
        "BARAZA_NEW_PASSWORD",
        "BARAZA_LOG",
    ] {
        command.env_remove(name);
    }
    command.env("BARAZA_DATA_DIR", dir).stdin(Stdio::null());
    command
}

/// Runs `baraza` to its end.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    baraza(dir).args(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed; what it prints as JSON.
pub(crate) fn json(dir: &Path, arguments: &[&str]) -> Value {
    let done = run(dir, &[&["--json"], arguments].concat());
    assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Makes an account, and waits until others can find it; its Jami ID.
pub(crate) fn create(dir: &Path, name: &str) -> String {
    let create = ["account", "create", "--name", name, "--wait", "60"];
    let account = json(dir, &create);
    assert_eq!(account["announced"], true);
    account["jami_id"].as_str().unwrap().to_owned()
}

/// Looks again and again until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "not so: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
