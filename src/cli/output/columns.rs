//! Text in columns, and paragraphs, that fit the width of a terminal.

use super::printable::printable;

/// Whether to use colours.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

/// What a colour says. Without colours the words say it alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Done, or in order.
    Good,
    /// It waits, or goes on by itself.
    Waiting,
    /// Blocked, failed, or in need of an operator.
    Bad,
}

impl Paint {
    #[must_use]
    pub fn with(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Good => "32",
            Style::Waiting => "33",
            Style::Bad => "31",
        };
        if self.0 && !code.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A cell of a table.
#[derive(Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    #[must_use]
    pub fn new(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Style::Plain, text)
    }
}

/// The number of bytes that few cells exceed. Reserved memory that no cell needs is never written.
const USUAL_CELL: usize = 32;

/// No column is made narrower than this.
const LEAST_WIDTH: usize = 11;

/// The space between two columns.
const GAP: usize = 2;

/// Whether a column becomes narrower where the table is too wide. Its cells have several lines then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Never,
    First,
    /// Only if the other columns do not suffice.
    Last,
}

/// A table. If it is wider than `width`, the widest of the columns that fold become narrower.
#[must_use]
pub fn columns<const N: usize>(
    head: [&str; N],
    folds: [Fold; N],
    rows: impl Iterator<Item = [Cell; N]>,
    paint: Paint,
    width: Option<usize>,
) -> String {
    let mut widths = head.map(str::len);
    // All cells are in one text, since a thousand rows of strings take half a megabyte. The numbers of bytes and of
    // characters of each cell are kept.
    let most = rows.size_hint().0;
    let (mut cells, mut sizes) = (String::with_capacity(most * N * USUAL_CELL), Vec::with_capacity(most));
    for row in rows {
        let mut number = 0;
        sizes.push(row.map(|Cell { text, style }| {
            let cell = printable(&text);
            cells.push_str(&cell);
            let length = width_of(&cell);
            widths[number] = length.max(widths[number]);
            number += 1;
            (cell.len(), length, style)
        }));
    }
    narrow(&mut widths, head, folds.map(|fold| fold == Fold::First), width);
    narrow(&mut widths, head, folds.map(|fold| fold != Fold::Never), width);
    let mut line = String::new();
    add_line(&mut line, head.map(|cell| (cell, cell.len(), Style::Plain)), &widths, Paint(false));
    let mut text = paint.with(Style::Bold, &line) + "\n";
    text.reserve(sizes.len() * widths.iter().map(|width| width + GAP).sum::<usize>());
    let mut rest = cells.as_str();
    for row in &sizes {
        let row = row.map(|(bytes, length, style)| {
            let (cell, others) = rest.split_at(bytes);
            rest = others;
            (cell, length, style)
        });
        add_row(&mut text, row, &widths, paint);
    }
    text
}

/// Takes from the widest flexible column until the table fits.
fn narrow<const N: usize>(widths: &mut [usize; N], head: [&str; N], flexible: [bool; N], width: Option<usize>) {
    let Some(width) = width else { return };
    loop {
        let total = widths.iter().sum::<usize>() + GAP * (N.saturating_sub(1));
        let least = |number: usize| head[number].len().max(LEAST_WIDTH);
        let widest = (0..N).filter(|number| flexible[*number] && widths[*number] > least(*number));
        let Some(widest) = widest.max_by_key(|number| widths[*number]) else { return };
        if total <= width {
            return;
        }
        let next = (0..N).filter(|number| flexible[*number] && *number != widest).map(|number| widths[number]).max();
        let down_to = next.filter(|next| *next < widths[widest]).unwrap_or(0).max(least(widest));
        widths[widest] -= (total - width).min((widths[widest] - down_to).max(1));
    }
}

/// Adds a row, on several lines if a cell is wider than its column.
fn add_row<const N: usize>(text: &mut String, row: [(&str, usize, Style); N], widths: &[usize; N], paint: Paint) {
    if row.iter().zip(widths).all(|((_, length, _), width)| length <= width) {
        add_line(text, row, widths, paint);
        text.push('\n');
        return;
    }
    let mut number = 0;
    let cells: [Vec<String>; N] = row.map(|(cell, ..)| {
        let lines = wrap_cell(cell, widths[number]);
        number += 1;
        lines
    });
    for line in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
        let mut number = 0;
        let parts = cells.each_ref().map(|lines| {
            let part = lines.get(line).map_or("", String::as_str);
            number += 1;
            (part, width_of(part), row[number - 1].2)
        });
        add_line(text, parts, widths, paint);
        text.push('\n');
    }
}

/// The number of characters.
fn width_of(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// Adds a line of cells, each with its number of characters, without space at the end.
fn add_line<const N: usize>(text: &mut String, cells: [(&str, usize, Style); N], widths: &[usize; N], paint: Paint) {
    let mut space = 0;
    for ((cell, length, style), width) in cells.into_iter().zip(widths) {
        if length > 0 {
            text.extend(std::iter::repeat_n(' ', space));
            space = 0;
            match (style, paint) {
                (Style::Plain, _) | (_, Paint(false)) => text.push_str(cell),
                (_, Paint(true)) => text.push_str(&paint.with(style, cell)),
            }
        }
        space += width.saturating_sub(length) + GAP;
    }
}

/// The lines of a cell. A word that is too wide is cut.
fn wrap_cell(cell: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in wrap(cell, Some(width)) {
        let letters: Vec<char> = line.chars().collect();
        lines.extend(letters.chunks(width.max(1)).map(|part| part.iter().collect::<String>()));
    }
    lines
}

/// The lines of a paragraph. A word that is wider than a line stays whole, and so does a command between backticks or in
/// brackets, so that it can be pasted.
#[must_use]
pub fn wrap(paragraph: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.filter(|width| width_of(paragraph) > *width) else { return vec![paragraph.to_owned()] };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(paragraph) {
        let space = usize::from(!line.is_empty());
        if !line.is_empty() && width_of(&line) + space + width_of(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A paragraph as lines that fit, the second and later ones indented. A line break in it stays one.
#[must_use]
pub fn paragraph(text: &str, indent: usize, width: Option<usize>) -> String {
    let mut paragraph = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        if ["aws ", "rotator "].iter().any(|program| line.trim_start_matches(' ').starts_with(program)) {
            // A command is to be pasted.
            paragraph.push_str(line);
            paragraph.push('\n');
            continue;
        }
        let own = line.len() - line.trim_start_matches(' ').len();
        let lines = wrap(line.trim_start_matches(' '), width.map(|width| width.saturating_sub(own + indent)));
        for (number, line) in lines.iter().enumerate() {
            let indent = if number == 0 { own } else { own + indent };
            paragraph.extend(std::iter::repeat_n(' ', indent));
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    paragraph
}

/// The words, where a command counts as one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let end = end_of_word(rest);
        let (word, others) = rest.split_at(end);
        rest = others;
        Some(word)
    })
}

fn end_of_word(text: &str) -> usize {
    let mut closing: Option<char> = None;
    for (at, c) in text.char_indices() {
        match closing {
            Some(end) if c == end => closing = None,
            Some(_) => {}
            None if c == ' ' => return at,
            None if c == '`' => closing = text.get(at + 1..).filter(|rest| rest.contains('`')).map(|_| '`'),
            None if c == '(' => {
                let inside = text.get(at + 1..).filter(|rest| rest.starts_with("aws ") || rest.starts_with("rotator "));
                // A command, or how long something took.
                let inside =
                    inside.or_else(|| text.get(at + 1..).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
                closing = inside.filter(|rest| rest.contains(')')).map(|_| ')');
            }
            None => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: Option<usize>) -> String {
        let rows = [["alice", "both keys work until noon", "now"], ["bob-the-builder", "done", "never again, I hope"]];
        let rows = rows.into_iter().map(|row| row.map(Cell::from));
        columns(["USER", "STEP", "NEXT"], [Fold::Last, Fold::First, Fold::First], rows, Paint(false), width)
    }

    #[test]
    fn columns_are_aligned_and_harmless() {
        let rows = [["a", "x\u{1b}y"], ["longer", "z"]].into_iter().map(|row| row.map(Cell::from));
        let text = columns(["ONE", "TWO"], [Fold::Never, Fold::Never], rows, Paint(false), None);
        assert_eq!(text, "ONE     TWO\na       x\\u{1b}y\nlonger  z\n");
    }

    #[test]
    fn a_table_that_is_too_wide_is_folded_in_its_flexible_columns() {
        let wide = "\
USER             STEP                       NEXT
alice            both keys work until noon  now
bob-the-builder  done                       never again, I hope
";
        assert_eq!(table(None), wide);
        assert_eq!(table(Some(80)), wide);
        let narrow = "\
USER             STEP                 NEXT
alice            both keys work       now
                 until noon
bob-the-builder  done                 never again, I
                                      hope
";
        assert_eq!(table(Some(52)), narrow);
        assert!(table(Some(1)).lines().all(|line| line.len() <= 3 * LEAST_WIDTH + 2 * GAP), "{}", table(Some(1)));
        assert!(table(Some(1)).contains("bob-the-bui  done"), "{}", table(Some(1)));
    }

    #[test]
    fn colours_do_not_change_the_layout() {
        let rows = [[Cell::new(Style::Bad, "no"), Cell::from("x")], [Cell::from("longer"), Cell::from("y")]];
        let text = columns(["A", "B"], [Fold::Never, Fold::Never], rows.into_iter(), Paint(true), None);
        assert_eq!(text, "\u{1b}[1mA       B\u{1b}[0m\n\u{1b}[31mno\u{1b}[0m      x\nlonger  y\n");
    }

    #[test]
    fn a_paragraph_is_folded_between_words_and_never_within_a_command() {
        let text =
            "user a has a key: delete it (aws iam delete-access-key --user-name a) or run `rotator resume a` now";
        let lines = wrap(text, Some(24));
        let expected = [
            "user a has a key: delete",
            "it",
            "(aws iam delete-access-key --user-name a)",
            "or run",
            "`rotator resume a` now",
        ];
        assert_eq!(lines, expected);
        assert_eq!(paragraph("one two three", 2, Some(9)), "one two\n  three\n");
        assert_eq!(paragraph("one\n  two three", 2, Some(9)), "one\n  two\n    three\n");
        assert_eq!(paragraph("x\n  rotator resume a b c", 2, Some(9)), "x\n  rotator resume a b c\n");
        assert_eq!(wrap("it took long (4.2 s)", Some(17)), ["it took long", "(4.2 s)"]);
        assert_eq!(wrap("a ` b", Some(3)), ["a `", "b"], "one backtick begins nothing");
        assert_eq!(wrap("", Some(3)), [""]);
    }
}
