//! What is printed: for people, or as JSON.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use baraza_wire::UnixTime;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use crate::error::CliError;

/// Prints a value as JSON, on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|error| CliError::Other(error.to_string()))?;
    line(&text)
}

/// Prints a line, at once.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // `baraza history … | head` is no failure of ours, and nobody reads any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Prints what went wrong.
pub(crate) fn error(error: &CliError, as_json: bool) {
    if as_json {
        let value = json!({"error": {
            "code": error.code(),
            "message": error.to_string(),
            "hint": error.hint(),
        }});
        eprintln!("{value}");
        return;
    }
    eprintln!("baraza: {}", printable(&error.to_string()));
    if let Some(hint) = error.hint() {
        eprintln!("  {}", printable(hint));
    }
}

/// A text of somebody else, made harmless for a terminal: control characters, which could
/// move the cursor, change the title or answer for the reader, are shown as `\u{1b}`.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(c),
            c if c.is_control() => {
                let _infallible = write!(safe, "{}", c.escape_default());
            }
            // Overrides of the direction could make a line seem to say something else.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _infallible = write!(safe, "{}", c.escape_default());
            }
            c => safe.push(c),
        }
    }
    safe
}

/// The beginning of an id, enough for people.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Date and time here.
pub(crate) fn date(time: UnixTime) -> String {
    format(time, "%Y-%m-%d %H:%M:%S")
}

/// Time of the day here.
pub(crate) fn clock(time: UnixTime) -> String {
    format(time, "%H:%M:%S")
}

fn format(time: UnixTime, how: &str) -> String {
    i64::try_from(time.secs())
        .ok()
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .map_or_else(
            || "?".to_owned(),
            |time| time.to_zoned(TimeZone::system()).strftime(how).to_string(),
        )
}

/// A span of time, roughly.
pub(crate) fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs / 60),
        3600..86_400 => format!("{} h {} min", secs / 3600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3600 % 24),
    }
}

/// Shows on the standard error, if that is a terminal, that something is under way.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(what: impl Into<std::borrow::Cow<'static, str>>, quiet: bool) -> Self {
        if quiet || !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    pub(crate) fn say(&self, what: impl Into<std::borrow::Cow<'static, str>>) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_others_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{7}\r"), "a\\u{1b}[2Jb\\u{7}\\r");
        assert_eq!(printable("a\u{9b}31m"), "a\\u{9b}31m");
        assert_eq!(printable("x\u{202e}y\u{2066}"), "x\\u{202e}y\\u{2066}");
        assert_eq!(printable("سلام\n\t漢字 👩‍👩‍👧"), "سلام\n\t漢字 👩‍👩‍👧");
    }

    #[test]
    fn spans_are_rough() {
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(3661)), "1 h 1 min");
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
    }
}
