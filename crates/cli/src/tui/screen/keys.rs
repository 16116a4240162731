//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Focus, Mode, Screen};
use crate::tui::command::{Command, Which};
use crate::tui::desk::{Desk, Millis};

/// Told by F1.
const HELP: &[&str] = &[
    "Tab: from the list to the text and back.  F2: the next account.  Ctrl-Q: the end.",
    "List: Up, Down, Enter opens. At a request: a accepts, d declines, b blocks.",
    "Text: Enter sends, Alt-Enter or Ctrl-J begins a new line. Page Up and Down: history.",
    "Ctrl-N, Ctrl-P: the next and the previous conversation.",
    "Up, when nothing is typed, selects a message: r answers, + reacts, e edits, d takes back,",
    "f fetches a file, s saves it, c stops that, w tells why it has not arrived. Esc goes back.",
    "A text that begins with / is a command:",
];

impl Screen {
    pub(super) fn key(&mut self, desk: &mut Desk, now: Millis, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        if let Some(id) = self.confirm.take() {
            if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                desk.act(Command::Delete(Which::Newest), Some(id));
            }
            return;
        }
        match (key.code, control) {
            (KeyCode::Char('q' | 'c'), true) => self.quit = true,
            (KeyCode::F(1), _) => self.help(desk, now),
            (KeyCode::F(2), _) => desk.next_account(),
            _ if self.panel.is_some() => self.panel_key(key.code),
            (KeyCode::Char('n'), true) => self.next_conversation(desk, true),
            (KeyCode::Char('p'), true) => self.next_conversation(desk, false),
            (KeyCode::Tab, _) => {
                self.focus = match self.focus {
                    Focus::List if self.shown.is_some() => Focus::Text,
                    _ => Focus::List,
                };
            }
            _ => match self.focus {
                Focus::List => self.list_key(desk, now, key.code),
                Focus::Text => self.text_key(desk, now, key.code, control, alt),
                Focus::Messages => self.message_key(desk, key.code),
            },
        }
    }

    fn help(&mut self, desk: &mut Desk, now: Millis) {
        desk.act(Command::Help(String::new()), None);
        self.update(desk, now);
        if let Some(panel) = &mut self.panel {
            "Keys and commands".clone_into(&mut panel.title);
            let commands = std::mem::take(&mut panel.lines);
            panel.lines = HELP.iter().map(|line| (*line).to_owned()).collect();
            panel.lines.extend(commands);
        }
    }

    fn panel_key(&mut self, code: KeyCode) {
        let height = usize::from(self.size.1.saturating_sub(4)).max(1);
        let Some(panel) = &mut self.panel else { return };
        let last = panel.lines.len().saturating_sub(1);
        match code {
            KeyCode::Up => panel.from = panel.from.saturating_sub(1),
            KeyCode::Down => panel.from = panel.from.saturating_add(1).min(last),
            KeyCode::PageUp => panel.from = panel.from.saturating_sub(height),
            KeyCode::PageDown => panel.from = panel.from.saturating_add(height).min(last),
            KeyCode::Home => panel.from = 0,
            _ => self.panel = None,
        }
    }

    fn list_key(&mut self, desk: &mut Desk, now: Millis, code: KeyCode) {
        let rows = desk.rows();
        let at = rows.iter().position(|row| Some(row.id) == self.row);
        let at = at.unwrap_or(0);
        let to = match code {
            KeyCode::Up => at.saturating_sub(1),
            KeyCode::Down => at.saturating_add(1),
            KeyCode::PageUp => at.saturating_sub(10),
            KeyCode::PageDown => at.saturating_add(10),
            KeyCode::Home => 0,
            KeyCode::End => rows.len(),
            _ => at,
        };
        let to = to.min(rows.len().saturating_sub(1));
        self.row = rows.get(to).map(|row| row.id);
        let request = rows.get(at).filter(|row| row.request);
        let number = at.saturating_add(1).to_string();
        match (code, request) {
            (KeyCode::Char('a') | KeyCode::Enter, Some(_)) => {
                desk.act(Command::Accept(number), None);
            }
            (KeyCode::Char('d'), Some(_)) => desk.act(Command::Decline(number), None),
            (KeyCode::Char('b'), Some(_)) => desk.act(Command::Block(number), None),
            (KeyCode::Enter | KeyCode::Right, None) => {
                if let Some(row) = rows.get(at) {
                    if self.shown == Some(row.id) {
                        self.focus = Focus::Text;
                    } else {
                        desk.open(row.id);
                    }
                }
            }
            (KeyCode::Char('/'), _) => {
                self.focus = Focus::Text;
                self.composer.set("/");
                self.typed(desk, now);
            }
            (KeyCode::Char('?'), _) => self.help(desk, now),
            (KeyCode::Esc, _) if self.shown.is_some() => self.focus = Focus::Text,
            _ => {}
        }
    }

    fn next_conversation(&mut self, desk: &mut Desk, forward: bool) {
        let rows: Vec<_> = desk.rows().into_iter().filter(|row| !row.request).collect();
        let at = rows.iter().position(|row| Some(row.id) == self.shown);
        let to = match (at, forward) {
            (None, _) => 0,
            (Some(at), true) => at.saturating_add(1),
            (Some(at), false) => at.saturating_sub(1),
        };
        if let Some(row) = rows.get(to).filter(|row| Some(row.id) != self.shown) {
            desk.open(row.id);
        }
    }

    fn text_key(&mut self, desk: &mut Desk, now: Millis, code: KeyCode, control: bool, alt: bool) {
        let page = usize::from(self.chat_height()).saturating_sub(2).max(1);
        match (code, control) {
            (KeyCode::Enter, _) if alt => self.composer.insert("\n"),
            (KeyCode::Char('j'), true) => self.composer.insert("\n"),
            (KeyCode::Enter, _) => return self.enter(desk, now),
            (KeyCode::Char('w'), true) => self.composer.delete_word(),
            (KeyCode::Char('u'), true) => self.composer.delete_line(),
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.composer.home(),
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.composer.end(),
            (KeyCode::Char(c), false) if !alt => {
                self.composer.insert(c.encode_utf8(&mut [0; 4]));
            }
            (KeyCode::Backspace, _) => self.composer.backspace(),
            (KeyCode::Delete, _) => self.composer.delete(),
            (KeyCode::Left, _) => self.composer.left(),
            (KeyCode::Right, _) => self.composer.right(),
            (KeyCode::PageUp, _) => return self.scroll_up(desk, page),
            (KeyCode::PageDown, _) => return self.scroll_down(desk, page),
            (KeyCode::Up, _) if self.composer.is_empty() => {
                if self.select(desk, false) {
                    self.focus = Focus::Messages;
                }
                return;
            }
            (KeyCode::Down, _) if self.composer.is_empty() => return self.scroll_to_end(desk),
            (KeyCode::Esc, _) => return self.escape(desk),
            _ => return,
        }
        self.typed(desk, now);
    }

    /// The text was changed.
    pub(super) fn typed(&mut self, desk: &mut Desk, now: Millis) {
        if !matches!(self.mode, Mode::Edit(_)) {
            desk.keep_draft(self.composer.text());
        }
        let text = self.composer.text();
        desk.types(now, !text.is_empty() && !text.starts_with('/'));
    }

    fn escape(&mut self, desk: &Desk) {
        match std::mem::replace(&mut self.mode, Mode::New) {
            Mode::New => self.focus = Focus::List,
            Mode::Answer(_) => {}
            // What was typed before the edit is still there.
            Mode::Edit(_) => self.composer.set(&desk.draft()),
        }
    }

    fn enter(&mut self, desk: &mut Desk, now: Millis) {
        let text = self.composer.text().trim_end().to_owned();
        let parsed = Command::parse(&text);
        let command = match (parsed, self.mode) {
            (None, Mode::Edit(_)) => {
                self.say(now, "to take it back: /delete".into(), true);
                return;
            }
            (None, _) => return,
            (Some(Err(error)), _) => {
                self.say(now, error, true);
                return;
            }
            (Some(Ok(Command::Say(text))), Mode::Answer(_)) => Command::Reply(Which::Newest, text),
            (Some(Ok(Command::Say(text))), Mode::Edit(_)) => Command::Edit(Which::Newest, text),
            (Some(Ok(command)), _) => command,
        };
        let is_text = matches!(command, Command::Say(_));
        if is_text && self.shown.is_none() {
            self.say(now, "no conversation is open".into(), true);
            return;
        }
        let selected = match self.mode {
            Mode::New => self.selected,
            Mode::Answer(id) | Mode::Edit(id) => Some(id),
        };
        // An edit leaves what was typed before it.
        if matches!(self.mode, Mode::Edit(_)) {
            self.composer.set(&desk.draft());
        } else {
            self.composer.set("");
            desk.keep_draft("");
        }
        self.mode = Mode::New;
        self.selected = None;
        desk.types(now, false);
        desk.act(command, selected);
        if is_text {
            self.scroll_to_end(desk);
        }
        if self.shown.is_none() {
            self.focus = Focus::List;
        }
    }

    fn message_key(&mut self, desk: &mut Desk, code: KeyCode) {
        let Some(id) = self.selected else {
            self.focus = Focus::Text;
            return;
        };
        let page = usize::from(self.chat_height()).max(1);
        match code {
            KeyCode::Up => {
                self.select(desk, false);
            }
            KeyCode::Down if self.select(desk, true) => {}
            KeyCode::Down => {
                self.selected = None;
                self.focus = Focus::Text;
                self.scroll_to_end(desk);
            }
            KeyCode::PageUp => self.scroll_up(desk, page),
            KeyCode::PageDown => self.scroll_down(desk, page),
            KeyCode::Char('r') | KeyCode::Enter => {
                self.mode = Mode::Answer(id);
                self.focus = Focus::Text;
            }
            KeyCode::Char('e') => {
                let thread = desk.thread();
                let entry = thread.and_then(|thread| thread.entry(&id));
                if let Some(body) = entry.map(|entry| entry.body.clone()) {
                    self.composer.set(&body);
                    self.mode = Mode::Edit(id);
                    self.focus = Focus::Text;
                }
            }
            KeyCode::Char('d') => self.confirm = Some(id),
            KeyCode::Char('+' | ':') => self.command("/react "),
            KeyCode::Char('s') => self.command("/save "),
            KeyCode::Char('f') => desk.act(Command::Fetch(Which::Newest), Some(id)),
            KeyCode::Char('c') => desk.act(Command::Cancel(Which::Newest), Some(id)),
            KeyCode::Char('w' | 'i') => desk.act(Command::Why(Which::Newest), Some(id)),
            KeyCode::Esc => {
                self.selected = None;
                self.focus = Focus::Text;
            }
            _ => {}
        }
    }

    /// The beginning of a command about the selected message.
    fn command(&mut self, begin: &str) {
        self.composer.set(begin);
        self.focus = Focus::Text;
    }
}
