//! `baraza tui`: conversations in the terminal, on a screen or line by line.
//!
//! `desk` is the machine that both stand on; `screen` and `plain` are what a person sees of
//! it, machines too. Only `node`, `terminal` and this module know sockets, clocks and the
//! terminal.

mod ask;
mod command;
mod desk;
mod drafts;
mod node;
mod plain;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::codec::{FramedRead, LinesCodec};

use self::desk::{Desk, Millis};
use self::drafts::Drafts;
use self::node::{News, Node};
use self::plain::Plain;
use self::screen::Screen;
use self::terminal::Taken;
use crate::args::Global;
use crate::client::Client;
use crate::error::CliError;
use crate::output;

/// Longer lines are refused.
const MAX_LINE: usize = 1024 * 1024;
/// So long it is waited for what was asked when the input has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// Runs until the person ends it, or a signal does.
pub(crate) async fn run(global: &Global, plain: bool) -> Result<(), CliError> {
    // Says how to start a node if there is none; later on it is waited for.
    let client = Client::new(global)?;
    let dir = client.data_dir().to_owned();
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !plain && !on_terminal {
        let text = "there is no terminal: baraza tui --plain works with lines";
        return Err(CliError::Usage(text.into()));
    }
    let drafts = Drafts::load(&dir).map_err(CliError::file(format!(
        "cannot read {}",
        dir.join(drafts::FILE).display()
    )))?;
    let session = format!("tui-{}-{}", std::process::id(), now());
    let desk = Desk::new(session, TimeZone::system(), global.account.clone(), drafts);
    let mut app = App {
        desk,
        node: Node::new(global),
        dir,
        ends: [
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ],
        ticks: ticks(),
    };
    let result = if plain {
        app.lines().await
    } else {
        app.screen().await
    };
    let kept = app.keep_drafts();
    result.and(kept)
}

/// Everything of a run.
struct App {
    desk: Desk,
    node: Node,
    dir: std::path::PathBuf,
    ends: [Signal; 2],
    ticks: Interval,
}

/// What comes from outside.
enum Input {
    News(News),
    Tick,
    /// It is to end.
    End,
}

impl App {
    /// Gives it to the desk, and takes what that asks; whether it goes on.
    fn take(&mut self, input: Input) -> bool {
        match input {
            Input::News(News::Here(_)) => self.desk.connected(),
            Input::News(News::Away(why)) => self.desk.away(&why),
            Input::News(News::Event(event)) => self.desk.event(now(), &event),
            Input::News(News::Answer(id, answer)) => self.desk.answer(id, answer),
            Input::Tick => {
                self.desk.tick(now());
                // What cannot be kept now is tried again, and told at the end.
                let _tried_again = self.keep_drafts();
            }
            Input::End => return false,
        }
        true
    }

    fn ask(&mut self) {
        while let Some(ask) = self.desk.poll_ask() {
            self.node.ask(ask);
        }
    }

    fn keep_drafts(&mut self) -> Result<(), CliError> {
        if self.desk.drafts.changed {
            let failed = CliError::file("cannot keep what was typed");
            self.desk.drafts.save(&self.dir).map_err(failed)?;
            self.desk.drafts.changed = false;
        }
        Ok(())
    }

    /// The face of a screen.
    async fn screen(&mut self) -> Result<(), CliError> {
        // Before the keys are read, so that the terminal gives them one by one.
        let mut taken = Taken::new()?;
        let mut keys = terminal::events();
        let size = taken.terminal.size()?;
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut screen = Screen::new((size.width, size.height), colours);
        loop {
            screen.update(&mut self.desk, now());
            self.ask();
            if screen.quit {
                return Ok(());
            }
            taken.terminal.draw(|frame| {
                let cursor = screen.draw(&self.desk, frame.buffer_mut());
                if let Some(cursor) = cursor {
                    frame.set_cursor_position(cursor);
                }
            })?;
            tokio::select! {
                event = keys.recv() => match event {
                    Some(event) => screen.event(&mut self.desk, now(), event?),
                    // The terminal is gone.
                    None => return Ok(()),
                },
                input = next(&mut self.node, &mut self.ticks, &mut self.ends) => {
                    if !self.take(input) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The face of lines.
    async fn lines(&mut self) -> Result<(), CliError> {
        let mut plain = Plain::default();
        let typed_here = std::io::stdin().is_terminal();
        let codec = LinesCodec::new_with_max_length(MAX_LINE);
        let mut input = FramedRead::new(tokio::io::stdin(), codec);
        let mut end: Option<Instant> = None;
        if typed_here {
            output::line("Baraza. /list shows conversations, /help commands, /quit ends.")?;
        }
        loop {
            self.ask();
            for line in plain.lines(&mut self.desk, now()) {
                output::line(&line)?;
            }
            // Again, as what was told may have asked for more.
            self.ask();
            if plain.quit || (end.is_some() && self.desk.is_idle()) {
                break;
            }
            // One thing after the other: a line may need what the one before it asked for.
            let ready =
                end.is_none() && (self.desk.is_idle() || (typed_here && self.desk.is_away()));
            let late = end.unwrap_or_else(Instant::now);
            tokio::select! {
                line = input.next(), if ready => match line {
                    Some(Ok(line)) => {
                        for line in plain.typed(&mut self.desk, now(), &line) {
                            output::line(&line)?;
                        }
                    }
                    Some(Err(error)) => return Err(CliError::Usage(format!("a line cannot be read: {error}"))),
                    None => end = Some(Instant::now() + LAST_ANSWERS),
                },
                () = sleep_until(late), if end.is_some() => {
                    return Err(CliError::TimedOut("not everything was answered".into()));
                }
                input = next(&mut self.node, &mut self.ticks, &mut self.ends) => {
                    if !self.take(input) {
                        break;
                    }
                }
            }
        }
        if plain.failed && !typed_here {
            return Err(CliError::Other(
                "not everything was done: see the lines with !".into(),
            ));
        }
        Ok(())
    }
}

/// What comes next from the node, the clock and the system.
async fn next(node: &mut Node, ticks: &mut Interval, ends: &mut [Signal; 2]) -> Input {
    let [terminate, hang_up] = ends;
    tokio::select! {
        news = node.next() => Input::News(news),
        _ = ticks.tick() => Input::Tick,
        _ = terminate.recv() => Input::End,
        _ = hang_up.recv() => Input::End,
    }
}

/// Milliseconds since 1970.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn ticks() -> Interval {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
