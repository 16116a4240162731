//! The picture.

use baraza_core::event::Presence;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Position;
use ratatui_core::style::{Color, Modifier, Style};

use super::chat::Kind;
use super::{Focus, Mode, Screen, paint};
use crate::tui::desk::{Desk, Row};
use crate::tui::words;

/// Lines of the text that are seen at most.
const MAX_TEXT: usize = 5;
/// Smaller terminals get a word instead.
const SMALLEST: (u16, u16) = (20, 6);

impl Screen {
    /// Draws everything; where the cursor is, if it is to be seen.
    pub(crate) fn draw(&self, desk: &Desk, buffer: &mut Buffer) -> Option<Position> {
        let (width, height) = self.size;
        if width < SMALLEST.0 || height < SMALLEST.1 {
            paint::put(buffer, (0, 0), width, "too small", Style::new());
            return None;
        }
        let bar = Style::new().add_modifier(Modifier::REVERSED);
        let header = paint::cut(&Self::header(desk), usize::from(width));
        self.fill(buffer, 0, bar);
        paint::put(buffer, (0, 0), width, &header, bar);
        self.draw_last_line(desk, buffer);
        if self.shows_list() {
            self.draw_list(desk, buffer);
        }
        let mut cursor = None;
        let beside = self.is_wide() || !self.shows_list();
        if beside {
            cursor = self.draw_chat(desk, buffer);
        } else if self.focus == Focus::Text {
            cursor = self.draw_text(buffer);
        }
        if self.panel.is_some() {
            self.draw_panel(buffer);
            return None;
        }
        cursor.filter(|_| self.focus == Focus::Text)
    }

    fn fill(&self, buffer: &mut Buffer, y: u16, style: Style) {
        let width = usize::from(self.size.0);
        paint::put(buffer, (0, y), self.size.0, &" ".repeat(width), style);
    }

    fn colour(&self, style: Style, colour: Color) -> Style {
        if self.colours {
            style.fg(colour)
        } else {
            style
        }
    }

    fn faint(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn draw_last_line(&self, desk: &Desk, buffer: &mut Buffer) {
        let y = self.size.1.saturating_sub(1);
        let width = usize::from(self.size.0);
        let plain = Style::new();
        let (text, style) = match &self.note {
            Some(note) if self.confirm.is_none() => {
                let bold = plain.add_modifier(Modifier::BOLD);
                let colour = if note.trouble {
                    Color::Red
                } else {
                    Color::Green
                };
                (note.text.clone(), self.colour(bold, colour))
            }
            _ => (self.hint(desk), self.faint()),
        };
        paint::put(
            buffer,
            (0, y),
            self.size.0,
            &paint::cut(&text, width),
            style,
        );
    }

    fn draw_list(&self, desk: &Desk, buffer: &mut Buffer) {
        let rows = desk.rows();
        let width = self.list_width();
        let room = usize::from(self.list_height());
        let at = rows.iter().position(|row| Some(row.id) == self.row);
        let from = at.unwrap_or(0).saturating_sub(room.saturating_sub(1));
        if rows.is_empty() {
            let text = if desk.account().is_some() {
                "Nobody yet: /add WHO"
            } else {
                "/create NAME makes an account"
            };
            paint::put(buffer, (0, 1), width, text, self.faint());
        }
        for (y, row) in (1_u16..).zip(rows.iter().skip(from).take(room)) {
            self.draw_row(buffer, y, row);
        }
        if self.is_wide() {
            for y in 1..self.size.1.saturating_sub(1) {
                paint::put(buffer, (width, y), 1, "│", self.faint());
            }
        }
    }

    fn draw_row(&self, buffer: &mut Buffer, y: u16, row: &Row) {
        let width = self.list_width();
        let mut style = Style::new();
        if row.unread > 0 || row.request {
            style = style.add_modifier(Modifier::BOLD);
        }
        let selected = Some(row.id) == self.row;
        if selected && self.focus == Focus::List {
            style = style.add_modifier(Modifier::REVERSED);
        } else if Some(row.id) == self.shown {
            style = style.add_modifier(Modifier::UNDERLINED);
        }
        let sign = match (row.request, row.presence) {
            (true, _) => "? ",
            (_, Presence::Connected) => "● ",
            (_, Presence::Available) => "○ ",
            (_, Presence::Offline) => "  ",
        };
        let count = match row.unread {
            0 => String::new(),
            unread if unread > 999 => " 999+".into(),
            unread => format!(" {unread}"),
        };
        let taken = paint::width(&count).saturating_add(2);
        let room = usize::from(width).saturating_sub(taken);
        let name = paint::cut(&row.name, room);
        let after = paint::put(buffer, (0, y), 2, sign, self.colour(style, Color::Green));
        let after = paint::put(buffer, (after, y), width, &name, style);
        let end = width.saturating_sub(u16::try_from(paint::width(&count)).unwrap_or(0));
        let left = usize::from(end.saturating_sub(after));
        // Where there is room, what was said last.
        if left > 12 && !row.newest.is_empty() {
            let newest = paint::cut(&row.newest, left.saturating_sub(2));
            let at = (after.saturating_add(2), y);
            paint::put(buffer, at, width, &newest, self.faint());
        }
        paint::put(
            buffer,
            (end, y),
            5,
            &count,
            self.colour(style, Color::Yellow),
        );
    }

    /// Lines of the list: all, or what a command that is typed below it leaves.
    fn list_height(&self) -> u16 {
        let typed = !self.is_wide() && self.focus == Focus::Text;
        let typed = u16::from(typed);
        self.size.1.saturating_sub(2).saturating_sub(typed)
    }

    fn text_height(&self) -> u16 {
        let width = usize::from(self.chat_width()).saturating_sub(2);
        let lines = self.composer.lines(width).0.len().clamp(1, MAX_TEXT);
        let lines = u16::try_from(lines).unwrap_or(1);
        // A small terminal still shows what is answered.
        lines.min(self.size.1.saturating_sub(4).max(1))
    }

    /// Lines for messages.
    pub(super) fn chat_height(&self) -> u16 {
        let mode = u16::from(self.mode != Mode::New);
        // The bar, the heading, the text, the last line.
        let taken = self.text_height().saturating_add(3).saturating_add(mode);
        self.size.1.saturating_sub(taken)
    }

    fn chat_left(&self) -> u16 {
        if self.is_wide() {
            self.list_width().saturating_add(1)
        } else {
            0
        }
    }

    fn draw_chat(&self, desk: &Desk, buffer: &mut Buffer) -> Option<Position> {
        let (left, width) = (self.chat_left(), self.chat_width());
        let Some(thread) = desk.thread() else {
            let text = "Open a conversation with Enter, or type / for a command.";
            paint::put(buffer, (left, 1), width, text, self.faint());
            return self.draw_text(buffer);
        };
        let (title, state) = (desk.thread_title(), desk.thread_state());
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let heading = paint::cut(&format!("{title} · {state}"), usize::from(width));
        paint::put(buffer, (left, 1), width, &heading, bold);
        let height = self.chat_height();
        let seen = self.seen(desk, usize::from(height));
        if !thread.read {
            paint::put(buffer, (left, 2), width, "reading …", self.faint());
        }
        let empty = usize::from(height).saturating_sub(seen.len());
        let first = u16::try_from(empty).unwrap_or(0).saturating_add(2);
        for (y, seen) in (first..).zip(&seen) {
            let style = match seen.line.kind {
                Kind::Heading => self.colour(bold, Color::Cyan),
                Kind::OwnHeading => self.colour(bold, Color::Green),
                Kind::Body => Style::new(),
                Kind::Faint | Kind::Day => self.faint(),
                Kind::Trouble => self.colour(Style::new(), Color::Red),
                Kind::Unread => self.colour(bold, Color::Yellow),
            };
            let style = match self.selected {
                Some(id) if id == seen.id => style.add_modifier(Modifier::REVERSED),
                _ => style,
            };
            let text = match seen.line.kind {
                Kind::Day | Kind::Unread => format!("── {} ──", seen.line.text),
                _ => seen.line.text.clone(),
            };
            paint::put(buffer, (left, y), width, &text, style);
        }
        self.draw_mode(desk, buffer);
        self.draw_text(buffer)
    }

    /// What is answered or changed, above the text.
    fn draw_mode(&self, desk: &Desk, buffer: &mut Buffer) {
        let (what, id) = match self.mode {
            Mode::New => return,
            Mode::Answer(id) => ("answering", id),
            Mode::Edit(id) => ("changing", id),
        };
        let y = self
            .size
            .1
            .saturating_sub(self.text_height())
            .saturating_sub(2);
        let entry = desk.thread().and_then(|thread| thread.entry(&id));
        let text = entry.map_or_else(
            || what.to_owned(),
            |entry| {
                let name = desk.name_of(&entry.author);
                format!("{what} {name}: {}", desk.line(entry))
            },
        );
        let text = paint::cut(&text, usize::from(self.chat_width()));
        let at = (self.chat_left(), y);
        paint::put(buffer, at, self.chat_width(), &text, self.faint());
    }

    fn draw_text(&self, buffer: &mut Buffer) -> Option<Position> {
        let (left, width) = (self.chat_left(), self.chat_width());
        let height = usize::from(self.text_height());
        let top = self
            .size
            .1
            .saturating_sub(self.text_height())
            .saturating_sub(1);
        let (lines, (row, column)) = self.composer.lines(usize::from(width).saturating_sub(2));
        let from = row.saturating_add(1).saturating_sub(height);
        let focused = self.focus == Focus::Text;
        let prompt = if focused { Style::new() } else { self.faint() };
        for (y, line) in (top..).zip(lines.iter().skip(from).take(height)) {
            paint::put(
                buffer,
                (left, y),
                2,
                if y == top { "> " } else { "  " },
                prompt,
            );
            let at = (left.saturating_add(2), y);
            paint::put(
                buffer,
                at,
                width.saturating_sub(2),
                &words::isolate(line),
                Style::new(),
            );
        }
        let column = u16::try_from(column).ok()?;
        let row = u16::try_from(row.saturating_sub(from)).ok()?;
        Some(Position {
            x: left.saturating_add(2).saturating_add(column),
            y: top.saturating_add(row),
        })
    }

    fn draw_panel(&self, buffer: &mut Buffer) {
        let Some(panel) = &self.panel else { return };
        let (width, height) = (usize::from(self.size.0), self.size.1.saturating_sub(3));
        for y in 1..self.size.1.saturating_sub(1) {
            self.fill(buffer, y, Style::new());
        }
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let title = paint::cut(&panel.title, width);
        paint::put(buffer, (0, 1), self.size.0, &title, bold);
        let lines = panel.lines.iter().skip(panel.from);
        let wrapped = lines.flat_map(|line| {
            let rows = paint::wrap(line, width.saturating_sub(2));
            (0_usize..)
                .zip(rows)
                .map(|(at, row)| if at == 0 { row } else { format!("  {row}") })
        });
        for (y, line) in (2_u16..).zip(wrapped.take(usize::from(height))) {
            paint::put(buffer, (0, y), self.size.0, &line, Style::new());
        }
    }
}
