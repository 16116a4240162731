//! Where a text is typed.

use unicode_segmentation::UnicodeSegmentation as _;

use super::paint;

/// Longer texts are refused by the node.
const MAX_TEXT: usize = 1024 * 1024;

/// A text and a place in it.
#[derive(Debug, Default)]
pub(super) struct Composer {
    text: String,
    /// In bytes, between two graphemes.
    cursor: usize,
}

impl Composer {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = self.text.len();
    }

    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn after(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    /// Puts a text in; what is no text of it is left out.
    pub(super) fn insert(&mut self, text: &str) {
        let text: String = text
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .replace('\t', "    ")
            .chars()
            .filter(|c| *c == '\n' || !c.is_control())
            .collect();
        if self.text.len().saturating_add(text.len()) <= MAX_TEXT {
            self.text.insert_str(self.cursor, &text);
            self.cursor = self.cursor.saturating_add(text.len());
        }
    }

    fn previous(&self) -> usize {
        let last = self.before().grapheme_indices(true).next_back();
        last.map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        let first = self.after().graphemes(true).next();
        self.cursor.saturating_add(first.map_or(0, str::len))
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.previous();
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.next();
    }

    /// To the beginning of the line.
    pub(super) fn home(&mut self) {
        let line = self.before().rfind('\n');
        self.cursor = line.map_or(0, |at| at.saturating_add(1));
    }

    /// To its end.
    pub(super) fn end(&mut self) {
        let rest = self.after().find('\n').unwrap_or(self.after().len());
        self.cursor = self.cursor.saturating_add(rest);
    }

    pub(super) fn backspace(&mut self) {
        self.remove_back_to(self.previous());
    }

    pub(super) fn delete(&mut self) {
        let next = self.next();
        self.text.replace_range(self.cursor..next, "");
    }

    /// Removes the word before the cursor.
    pub(super) fn delete_word(&mut self) {
        let words = self.before().trim_end();
        let begin = words.rfind(char::is_whitespace);
        self.remove_back_to(begin.map_or(0, |at| {
            let space = words.get(at..).and_then(|rest| rest.chars().next());
            at.saturating_add(space.map_or(0, char::len_utf8))
        }));
    }

    /// Removes what is before the cursor on its line.
    pub(super) fn delete_line(&mut self) {
        let begin = self.before().rfind('\n');
        self.remove_back_to(begin.map_or(0, |at| at.saturating_add(1)));
    }

    fn remove_back_to(&mut self, from: usize) {
        self.text.replace_range(from..self.cursor, "");
        self.cursor = from;
    }

    /// As lines of at most `width` columns, and in which line and column the cursor is.
    pub(super) fn lines(&self, width: usize) -> (Vec<String>, (usize, usize)) {
        let mut lines = paint::wrap(&self.text, width);
        let mut before = paint::wrap(self.before(), width);
        let last = before.pop().unwrap_or_default();
        let (mut row, mut column) = (before.len(), paint::width(&last));
        if column >= width {
            row = row.saturating_add(1);
            column = 0;
        }
        while lines.len() <= row {
            lines.push(String::new());
        }
        (lines, (row, column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_goes_by_what_people_call_a_letter() {
        let mut composer = Composer::default();
        composer.insert("a👩‍👩‍👧e\u{301}می");
        composer.left();
        composer.left();
        composer.backspace();
        assert_eq!(composer.text(), "a👩‍👩‍👧می");
        composer.backspace();
        assert_eq!(composer.text(), "aمی");
        composer.delete();
        assert_eq!(composer.text(), "aی");
        composer.set("one two  three");
        composer.delete_word();
        assert_eq!(composer.text(), "one two  ");
        composer.delete_word();
        assert_eq!(composer.text(), "one ");
        composer.insert("x\r\ny\u{1b}[31m");
        assert_eq!(composer.text(), "one x\ny[31m");
        composer.home();
        composer.delete_line();
        composer.insert(">");
        assert_eq!(composer.text(), "one x\n>y[31m");
        composer.end();
        assert_eq!(
            composer.lines(6),
            (vec!["one x".into(), ">y[31m".into(), String::new()], (2, 0))
        );
    }
}
