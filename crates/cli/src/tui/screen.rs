//! The face of a screen: conversations on the left, one of them on the right. A machine:
//! keys and what the desk tells go in, a picture comes out.

mod chat;
mod composer;
mod draw;
mod keys;
mod paint;
mod scroll;

use baraza_wire::{CommitId, ConversationId};
use crossterm::event::{Event, KeyEventKind};

use self::composer::Composer;
use self::scroll::Place;
use super::desk::{Desk, Millis, Row, Told};
use super::words;

/// So long something that happened is shown.
const SHOWN: Millis = 8_000;

/// What keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Text,
    /// A message is selected.
    Messages,
}

/// What the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    New,
    Answer(CommitId),
    Edit(CommitId),
}

/// An answer of several lines, over everything else.
#[derive(Debug)]
struct Panel {
    title: String,
    lines: Vec<String>,
    from: usize,
}

/// Something that happened.
#[derive(Debug)]
struct Note {
    text: String,
    trouble: bool,
    until: Millis,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct Screen {
    size: (u16, u16),
    colours: bool,
    focus: Focus,
    /// The row that is selected in the list.
    row: Option<ConversationId>,
    /// The conversation that is shown, whose draft is in the composer.
    shown: Option<ConversationId>,
    place: Place,
    selected: Option<CommitId>,
    composer: Composer,
    mode: Mode,
    /// A message to be taken back, if that is confirmed.
    confirm: Option<CommitId>,
    panel: Option<Panel>,
    note: Option<Note>,
    pub(super) quit: bool,
}

impl Screen {
    pub(super) fn new(size: (u16, u16), colours: bool) -> Self {
        Self {
            size,
            colours,
            focus: Focus::List,
            row: None,
            shown: None,
            place: Place::End,
            selected: None,
            composer: Composer::default(),
            mode: Mode::New,
            confirm: None,
            panel: None,
            note: None,
            quit: false,
        }
    }

    /// What the terminal tells.
    pub(super) fn event(&mut self, desk: &mut Desk, now: Millis, event: Event) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(desk, now, key),
            Event::Paste(text) => {
                self.focus = Focus::Text;
                self.composer.insert(&text);
                self.typed(desk, now);
            }
            Event::Resize(width, height) => self.size = (width, height),
            Event::FocusGained => desk.look(true),
            Event::FocusLost => desk.look(false),
            _ => {}
        }
        self.update(desk, now);
    }

    /// Takes what the desk tells, and follows what it shows.
    pub(super) fn update(&mut self, desk: &mut Desk, now: Millis) {
        while let Some(told) = desk.poll_told() {
            self.told(now, told);
        }
        let open = desk.thread().map(|thread| thread.id);
        if open != self.shown {
            self.shown = open;
            self.place = Place::End;
            self.selected = None;
            self.confirm = None;
            self.mode = Mode::New;
            self.composer.set(&desk.draft());
            if open.is_some() {
                self.row = open;
                self.focus = Focus::Text;
            } else if self.focus != Focus::Text || !self.composer.text().starts_with('/') {
                self.focus = Focus::List;
            }
        }
        let rows = desk.rows();
        if !rows.iter().any(|row| Some(row.id) == self.row) {
            self.row = rows.first().map(|row| row.id);
        }
        if self.note.as_ref().is_some_and(|note| note.until < now) {
            self.note = None;
        }
    }

    fn told(&mut self, now: Millis, told: Told) {
        match told {
            Told::Line(text) if text.is_empty() => {}
            Told::Line(text) => self.say(now, text, false),
            Told::Trouble(text) => self.say(now, text, true),
            Told::Elsewhere { from, text } => self.say(now, format!("{from}: {text}"), false),
            Told::Page { title, lines } => {
                self.panel = Some(Panel {
                    title,
                    lines,
                    from: 0,
                });
            }
            Told::Shown(id) => {
                self.shown_in_the_middle(id);
            }
            Told::Draft(text) => {
                // Nothing of what was typed meanwhile is lost.
                let typed = self.composer.take();
                let both = if typed.is_empty() {
                    text
                } else {
                    format!("{text}\n{typed}")
                };
                self.composer.set(&both);
            }
            Told::Quit => self.quit = true,
            Told::Opened | Told::Older(_) | Told::Entry { .. } => {}
        }
    }

    fn shown_in_the_middle(&mut self, id: CommitId) {
        self.panel = None;
        self.place = Place::At { id, below: 0 };
        self.selected = Some(id);
        self.focus = Focus::Messages;
    }

    fn say(&mut self, now: Millis, text: String, trouble: bool) {
        self.note = Some(Note {
            text,
            trouble,
            until: now.saturating_add(SHOWN),
        });
    }

    /// The row that is selected.
    fn selected_row(&self, desk: &Desk) -> Option<Row> {
        desk.rows().into_iter().find(|row| Some(row.id) == self.row)
    }

    /// Whether the list and the conversation stand side by side.
    fn is_wide(&self) -> bool {
        self.size.0 >= 60
    }

    /// Whether the list is to be seen.
    fn shows_list(&self) -> bool {
        self.is_wide() || self.focus == Focus::List || self.shown.is_none()
    }

    /// Columns of the list.
    fn list_width(&self) -> u16 {
        match self.size.0 {
            narrow if narrow < 60 => narrow,
            width => (width / 3).min(32),
        }
    }

    /// Columns of a conversation.
    fn chat_width(&self) -> u16 {
        if self.is_wide() {
            self.size
                .0
                .saturating_sub(self.list_width())
                .saturating_sub(1)
        } else {
            self.size.0
        }
    }

    /// What can be done now, for the last line.
    fn hint(&self, desk: &Desk) -> String {
        if self.confirm.is_some() {
            return "Take this message back? y: yes, any other key: no".into();
        }
        if self.panel.is_some() {
            return "Esc closes · Up, Down".into();
        }
        match self.focus {
            Focus::List => match self.selected_row(desk) {
                Some(row) if row.request => "a accept · d decline · b block · F1 help".into(),
                Some(_) => "Enter opens · / command · F1 help · Ctrl-Q ends".into(),
                None => "/ command · F1 help · Ctrl-Q ends".into(),
            },
            Focus::Text => match self.mode {
                Mode::New => "Enter sends · Up selects a message · Esc list · F1 help".into(),
                Mode::Answer(_) => "Enter sends the answer · Esc gives it up".into(),
                Mode::Edit(_) => "Enter changes the text · Esc gives it up".into(),
            },
            Focus::Messages => {
                "r reply · + react · e edit · d delete · f fetch · s save · w why".into()
            }
        }
    }

    fn header(desk: &Desk) -> String {
        let name = desk.account().map_or_else(
            || "Baraza".to_owned(),
            |account| match account.display_name.as_str() {
                "" => crate::output::short(&account.jami_id.to_hex()).to_owned(),
                name => words::foreign_name(name),
            },
        );
        let mut header = format!(" {name} · {}", desk.state());
        let unread = desk.unread();
        if unread > 0 {
            header = format!("{header} · {unread} unread");
        }
        if desk.accounts.len() > 1 {
            header = format!("{header} · {} accounts (F2)", desk.accounts.len());
        }
        header
    }
}
