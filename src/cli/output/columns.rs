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
const LEAST_WIDTH: usize = 12;

/// A word of at most this length, such as the id of a key, is cut only if the table does not fit otherwise.
const LONGEST_WHOLE: usize = 20;

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
    if width.is_some_and(|width| widths.iter().sum::<usize>() + GAP * (N.saturating_sub(1)) > width) {
        let least = head.map(|head| head.len().max(LEAST_WIDTH));
        let mut whole = least;
        for (number, longest) in longest_words(&cells, &sizes).into_iter().enumerate() {
            // A name has the rest of the terminal.
            whole[number] = if folds[number] == Fold::First { least[number].max(longest) } else { least[number] };
        }
        narrow(&mut widths, whole, folds.map(|fold| fold == Fold::First), width);
        narrow(&mut widths, whole, folds.map(|fold| fold != Fold::Never), width);
        narrow(&mut widths, least, folds.map(|fold| fold != Fold::Never), width);
    }
    let total = widths.iter().sum::<usize>() + GAP * (N.saturating_sub(1));
    // A table in which nothing folds is as wide as it is.
    if let Some(width) = width.filter(|width| total > *width && folds.iter().any(|fold| *fold != Fold::Never)) {
        return blocks(head, &cells, &sizes, paint, width);
    }
    let mut line = String::new();
    add_line(&mut line, head.map(|cell| (cell, cell.len(), Style::Plain)), &widths, Paint(false));
    let mut text = paint.with(Style::Bold, &line) + "\n";
    text.reserve(sizes.len() * widths.iter().map(|width| width + GAP).sum::<usize>());
    let mut rest = cells.as_str();
    for row in &sizes {
        let row = row.map(|(bytes, length, style)| (taken(&mut rest, bytes), length, style));
        add_row(&mut text, row, &widths, paint);
    }
    text
}

/// The next cell.
fn taken<'a>(rest: &mut &'a str, bytes: usize) -> &'a str {
    let (cell, others) = rest.split_at(bytes);
    *rest = others;
    cell
}

/// The rows one below the other, a line for each cell, where the terminal is too narrow for a table.
fn blocks<const N: usize>(
    head: [&str; N],
    mut cells: &str,
    sizes: &[[(usize, usize, Style); N]],
    paint: Paint,
    width: usize,
) -> String {
    let column = head.iter().map(|head| head.len()).max().unwrap_or_default() + GAP;
    let indent = format!("\n{}", " ".repeat(column));
    let mut text = String::new();
    for row in sizes {
        if !text.is_empty() {
            text.push('\n');
        }
        for (head, (bytes, _, style)) in head.iter().zip(row) {
            let cell = taken(&mut cells, *bytes);
            if !cell.is_empty() {
                let lines = wrap_cell(cell, width.saturating_sub(column));
                let lines: Vec<String> = lines.iter().map(|line| paint.with(*style, line)).collect();
                let head = paint.with(Style::Bold, head) + &" ".repeat(column - head.len());
                text.push_str(&format!("{head}{}\n", lines.join(&indent)));
            }
        }
    }
    text
}

/// The longest word of each column, but for words that are longer than the id of a key.
fn longest_words<const N: usize>(cells: &str, sizes: &[[(usize, usize, Style); N]]) -> [usize; N] {
    let (mut longest, mut rest) = ([0; N], cells);
    for row in sizes {
        for (number, (bytes, ..)) in row.iter().enumerate() {
            let words = taken(&mut rest, *bytes).split(' ').map(width_of).filter(|word| *word <= LONGEST_WHOLE);
            longest[number] = words.max().unwrap_or_default().max(longest[number]);
        }
    }
    longest
}

/// Takes from the widest flexible column until the table fits. `least` is how narrow a column may become.
fn narrow<const N: usize>(widths: &mut [usize; N], least: [usize; N], flexible: [bool; N], width: Option<usize>) {
    let Some(width) = width else { return };
    loop {
        let total = widths.iter().sum::<usize>() + GAP * (N.saturating_sub(1));
        let widest = (0..N).filter(|number| flexible[*number] && widths[*number] > least[*number]);
        let Some(widest) = widest.max_by_key(|number| widths[*number]) else { return };
        if total <= width {
            return;
        }
        let next = (0..N).filter(|number| flexible[*number] && *number != widest).map(|number| widths[number]).max();
        let down_to = next.filter(|next| *next < widths[widest]).unwrap_or(0).max(least[widest]);
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
        assert!(table(Some(40)).contains("bob-the-buil  done"), "{}", table(Some(40)));
        let blocks = "\
USER  alice
STEP  both keys work until noon
NEXT  now

USER  bob-the-builder
STEP  done
NEXT  never again, I hope
";
        assert_eq!(table(Some(39)), blocks);
        assert!(table(Some(10)).lines().all(|line| line.len() <= 10), "{}", table(Some(10)));
    }

    #[test]
    fn a_key_id_is_cut_last() {
        let rows = [["payments-reconciliation/production", "deleted-old: rotated", "new key AKIAIOSFODNN7EXAMPLE"]];
        let rows = |width| {
            let rows = rows.into_iter().map(|row| row.map(Cell::from));
            columns(["USER", "STEP", "NEXT"], [Fold::Last, Fold::First, Fold::First], rows, Paint(false), Some(width))
        };
        for width in [80, 60, 50] {
            let text = rows(width);
            assert!(text.contains("AKIAIOSFODNN7EXAMPLE"), "{text}");
            assert!(text.lines().all(|line| line.len() <= width), "{text}");
        }
        assert!(rows(40).lines().all(|line| line.len() <= 40), "{}", rows(40));
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
