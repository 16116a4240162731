use std::path::Path;
use std::process::{Command, Output, Stdio};

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
