//! The bridge by itself; with a node it is tried by the tests of the program `baraza`.

use std::process::Command;

#[test]
fn it_says_what_is_missing() {
    for (arguments, wanted) in [
        (&[][..], "--token-file is missing"),
        (&["--colour", "red"], "there is no --colour"),
        (
            &["--url", "https://x", "--token-file", "x"],
            "--url begins with http://",
        ),
        (&["--token-file"], "a value is missing"),
    ] {
        let bridge = env!("CARGO_BIN_EXE_baraza-bridge");
        let done = Command::new(bridge).args(arguments).output().unwrap();
        assert!(!done.status.success());
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains(wanted), "{said}");
    }
}
