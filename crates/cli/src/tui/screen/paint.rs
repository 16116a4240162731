//! Texts on the screen: how wide they are, where they are broken, and how they get there.

use ratatui_core::buffer::Buffer;
use ratatui_core::style::Style;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::tui::words::{self, END_ISOLATE, ISOLATE};

/// Longest grapheme that is shown whole, in characters: families of emoji are shorter.
const MAX_GRAPHEME: usize = 16;

/// Columns that a grapheme takes.
fn columns(grapheme: &str) -> usize {
    grapheme.width().min(2)
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.graphemes(true).map(columns).sum()
}

/// Breaks a text into lines of at most `limit` columns: at spaces, and within words that are
/// longer than a line.
pub(super) fn wrap(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let (mut line, mut used) = (String::new(), 0_usize);
        for word in paragraph.split_inclusive(' ') {
            let bare = width(word.trim_end_matches(' '));
            if used > 0 && used.saturating_add(bare) > limit && bare <= limit {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            for grapheme in word.graphemes(true) {
                let columns = columns(grapheme);
                if used.saturating_add(columns) > limit {
                    if grapheme == " " {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push_str(grapheme);
                used = used.saturating_add(columns);
            }
        }
        lines.push(line);
    }
    lines
}

/// Cuts a text to so many columns, and says by … that it is longer.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 0_usize);
    for grapheme in text.graphemes(true) {
        used = used.saturating_add(columns(grapheme));
        if used >= limit {
            break;
        }
        short.push_str(grapheme);
    }
    short.push('…');
    short
}

/// Writes a text at a place, as far as `limit` columns reach; the column after it. Whatever
/// the text is, a cell gets nothing that could move the cursor.
pub(super) fn put(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    limit: u16,
    text: &str,
    style: Style,
) -> u16 {
    let end = x.saturating_add(limit).min(buffer.area.right());
    let safe = words::gate(text);
    let mut at = x;
    let mut last: Option<u16> = None;
    let mut before = String::new();
    let mut open = 0_usize;
    for grapheme in safe.graphemes(true) {
        let columns = u16::try_from(columns(grapheme)).unwrap_or(1);
        if columns == 0 {
            if grapheme.starts_with(ISOLATE) {
                before.push(ISOLATE);
                open = open.saturating_add(1);
            } else if let Some(cell) = last.and_then(|last| buffer.cell_mut((last, y))) {
                open = open.saturating_sub(grapheme.matches(END_ISOLATE).count());
                let joined: String = format!("{}{grapheme}", cell.symbol())
                    .chars()
                    .take(MAX_GRAPHEME)
                    .collect();
                cell.set_symbol(&joined);
            }
            continue;
        }
        if at.saturating_add(columns) > end {
            break;
        }
        let Some(cell) = buffer.cell_mut((at, y)) else {
            break;
        };
        let grapheme: String = grapheme.chars().take(MAX_GRAPHEME).collect();
        cell.set_symbol(&format!("{before}{grapheme}"));
        cell.set_style(style);
        before.clear();
        for covered in 1..columns {
            if let Some(cell) = buffer.cell_mut((at.saturating_add(covered), y)) {
                cell.reset();
                cell.set_style(style);
            }
        }
        last = Some(at);
        at = at.saturating_add(columns);
    }
    // What was cut off must not leave its direction to what follows.
    if let Some(cell) = last.and_then(|last| buffer.cell_mut((last, y)))
        && open > 0
    {
        let closed = format!("{}{END_ISOLATE}", cell.symbol());
        cell.set_symbol(&closed);
    }
    at
}

#[cfg(test)]
mod tests {
    use ratatui_core::buffer::Cell;
    use ratatui_core::layout::Rect;

    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_and_in_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one two three", 9), ["one two ", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
        assert_eq!(wrap("👩‍👩‍👧👩‍👩‍👧", 2), ["👩‍👩‍👧", "👩‍👩‍👧"]);
    }

    #[test]
    fn what_is_put_stays_in_its_place() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
        let after = put(&mut buffer, (1, 0), 5, "漢字漢字", Style::new());
        assert_eq!(after, 5);
        assert_eq!(buffer.cell((5, 0)).unwrap().symbol(), " ");
        put(&mut buffer, (0, 0), 10, "a\u{1b}[2Jb\u{202e}", Style::new());
        for cell in &buffer.content {
            assert!(!cell.symbol().chars().any(words::must_not_pass));
        }
    }

    #[test]
    fn isolates_are_closed_where_a_text_is_cut() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
        put(&mut buffer, (0, 0), 3, "\u{2068}سلام\u{2069}", Style::new());
        let shown: String = buffer.content.iter().map(Cell::symbol).collect();
        assert!(shown.starts_with("\u{2068}سلا\u{2069}"), "{shown:?}");
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
        put(
            &mut buffer,
            (0, 0),
            10,
            "\u{2068}سلام\u{2069}!",
            Style::new(),
        );
        let shown: String = buffer.content.iter().map(Cell::symbol).collect();
        assert!(shown.starts_with("\u{2068}سلام\u{2069}!"), "{shown:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_broken_and_put_without_harm(text in "\\PC{0,40}|(?s).{0,40}", limit in 0_usize..20) {
            let lines = wrap(&text, limit);
            let whole: String = lines.concat();
            for line in &lines {
                proptest::prop_assert!(width(line) <= limit.max(2), "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| !" \n".contains(*c)).count();
            proptest::prop_assert_eq!(letters(&whole), letters(&text));
            proptest::prop_assert!(width(&cut(&text, limit)) <= limit.max(1));
            let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
            let limit = u16::try_from(limit).unwrap();
            put(&mut buffer, (3, 1), limit, &text, Style::new());
            for (at, cell) in buffer.content.iter().enumerate() {
                proptest::prop_assert!(!cell.symbol().chars().any(words::must_not_pass));
                let inside = (15..15 + usize::from(limit)).contains(&at);
                proptest::prop_assert!(inside || cell.symbol() == " ", "{at}");
            }
        }
    }
}
