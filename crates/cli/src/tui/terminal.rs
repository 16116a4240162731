//! The terminal while it is a screen: taken over, and given back however the program ends.

use std::io::{self, Stdout, stdout};
use std::sync::Once;
use std::thread;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange, Event,
};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use tokio::sync::mpsc;

/// Keys typed ahead.
const MAX_AHEAD: usize = 256;

/// The terminal, ours until this is dropped.
pub(super) struct Taken {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Taken {
    pub(super) fn new() -> io::Result<Self> {
        restore_on_panic();
        enable_raw_mode()?;
        let entered = execute!(
            stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange
        );
        let made = entered.and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match made {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was; there is nothing to be done if that fails.
fn restore() {
    let _gone = execute!(
        stdout(),
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        crossterm::cursor::Show
    );
    let _gone = disable_raw_mode();
}

/// A panic is told on a terminal that shows it.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

/// Keys and what else the terminal tells, from a thread that ends with the program: reading
/// a terminal cannot be given up.
pub(super) fn events() -> mpsc::Receiver<io::Result<Event>> {
    let (sender, events) = mpsc::channel(MAX_AHEAD);
    drop(thread::spawn(move || {
        loop {
            let event = crossterm::event::read();
            let failed = event.is_err();
            if sender.blocking_send(event).is_err() || failed {
                return;
            }
        }
    }));
    events
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the copy of this program that panics.
    const PANICS: &str = "BARAZA_TEST_PANICS_ON_A_TERMINAL";
    /// Runs a program on a terminal of its own, and tells whether that is as before; then
    /// prints all that came.
    const ON_A_TERMINAL: &str = "
import os, pty, select, subprocess, sys, termios
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
child = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave)
came = b''
while child.poll() is None or select.select([master], [], [], 0.2)[0]:
    if select.select([master], [], [], 0.2)[0]:
        came += os.read(master, 65536)
print(termios.tcgetattr(slave) == before)
print(repr(came))
";

    #[test]
    fn panics_if_it_is_told_to() {
        if std::env::var_os(PANICS).is_some() {
            let _taken = Taken::new().unwrap();
            panic!("as it was told");
        }
    }

    #[test]
    fn a_panic_is_told_on_a_terminal_that_was_given_back() {
        let test = "tui::terminal::tests::panics_if_it_is_told_to";
        let done = Command::new("python3")
            .args(["-c", ON_A_TERMINAL])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(PANICS, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(said.starts_with("True\n"), "{said}");
        let entered = said.find("[?1049h").unwrap();
        let left = said.find("[?1049l").unwrap();
        let told = said.find("as it was told").unwrap();
        assert!(entered < left && left < told, "{said}");
    }
}
