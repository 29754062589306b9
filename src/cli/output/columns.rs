//! Text in columns that fit the width of a terminal.

use super::paragraph::{width_of, wrap};
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

/// A name of at most this length is not cut on a terminal of at least the usual width.
const LONGEST_NAME: usize = 32;
const USUAL_WIDTH: usize = 80;

/// The space before a cell that has a line of its own below its row.
const BELOW: &str = "  ";

/// The space between two columns.
const GAP: usize = 2;

/// Whether a column becomes narrower where the table is too wide. Its cells have several lines then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Never,
    First,
    /// Only if the other columns do not suffice.
    Last,
    /// The last column, which has a line of its own below each row where the table is too wide with all words whole.
    Below,
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
    let mut is_below = false;
    if width.is_some_and(|width| total(&widths) > width) {
        is_below = fold(&mut widths, head, folds, longest_words(&cells, &sizes), width);
    }
    // A table in which nothing folds is as wide as it is.
    let folds_at_all = folds.iter().any(|fold| *fold != Fold::Never);
    if let Some(width) = width.filter(|width| total(&widths) > *width && folds_at_all) {
        return blocks((head, folds), &cells, &sizes, paint, width);
    }
    let mut line = String::new();
    let mut head = head.map(|cell| (cell, cell.len(), Style::Plain));
    let head_below = take_last(&mut head, is_below);
    add_line(&mut line, head, &widths, Paint(false));
    let mut text = paint.with(Style::Bold, &line) + "\n";
    if is_below {
        text.push_str(&format!("{}\n", paint.with(Style::Bold, &format!("{BELOW}{head_below}"))));
    }
    text.reserve(sizes.len() * widths.iter().map(|width| width + GAP).sum::<usize>());
    let mut rest = cells.as_str();
    for row in &sizes {
        let mut row = row.map(|(bytes, length, style)| (taken(&mut rest, bytes), length, style));
        let cell = take_last(&mut row, is_below);
        add_row(&mut text, row, &widths, paint);
        if is_below {
            let lines = wrap_cell(cell, width.unwrap_or(usize::MAX).saturating_sub(BELOW.len()));
            text.extend(lines.iter().map(|line| format!("{BELOW}{line}\n")));
        }
    }
    text
}

/// The text of the last cell, which is then empty, if it is to stand below its row.
fn take_last<'c, const N: usize>(row: &mut [(&'c str, usize, Style); N], is_below: bool) -> &'c str {
    row.last_mut().filter(|_| is_below).map_or("", |last| std::mem::take(last).0)
}

/// The width of a table. A column without a width has no space before it.
fn total(widths: &[usize]) -> usize {
    let columns = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1)
}

/// Makes the columns narrower until they fit. Returns whether the last one is to stand below; its width is 0 then. `longest`: of
/// each column the longest word, and the longest that is not longer than the id of a key.
fn fold<const N: usize>(
    widths: &mut [usize; N],
    head: [&str; N],
    folds: [Fold; N],
    longest: [(usize, usize); N],
    width: Option<usize>,
) -> bool {
    let least = head.map(|head| head.len().max(LEAST_WIDTH));
    let is_usual = width.is_none_or(|width| width >= USUAL_WIDTH);
    let (mut whole, mut least_of_names) = (least, least);
    for (number, (longest, of_usual)) in longest.into_iter().enumerate() {
        match folds[number] {
            Fold::First => whole[number] = head[number].len().max(of_usual),
            Fold::Below => whole[number] = head[number].len().max(longest),
            // A name has the rest of the terminal.
            Fold::Last | Fold::Never if is_usual => {
                least_of_names[number] = least[number].max(longest.min(LONGEST_NAME));
                whole[number] = least_of_names[number];
            }
            Fold::Last | Fold::Never => {}
        }
    }
    let is_not_a_name = folds.map(|fold| !matches!(fold, Fold::Last | Fold::Never));
    let all = folds.map(|fold| fold != Fold::Never);
    if folds[N.saturating_sub(1)] == Fold::Below {
        let fits = |widths: &[usize; N]| width.is_none_or(|width| total(widths) <= width);
        let (mut beside, mut below) = (*widths, *widths);
        narrow(&mut beside, whole, is_not_a_name, width);
        below[N.saturating_sub(1)] = 0;
        narrow(&mut below, whole, all, width);
        if fits(&beside) || fits(&below) {
            let is_below = !fits(&beside);
            *widths = if is_below { below } else { beside };
            return is_below;
        }
    }
    for number in (0..N).filter(|number| folds[*number] == Fold::First) {
        whole[number] = whole[number].max(least[number]);
    }
    narrow(widths, whole, is_not_a_name, width);
    narrow(widths, whole, all, width);
    narrow(widths, least_of_names, all, width);
    false
}

/// The next cell.
fn taken<'a>(rest: &mut &'a str, bytes: usize) -> &'a str {
    let (cell, others) = rest.split_at(bytes);
    *rest = others;
    cell
}

/// The rows one below the other, a line for each cell, where the terminal is too narrow for a table.
fn blocks<const N: usize>(
    (head, folds): ([&str; N], [Fold; N]),
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
        for ((head, fold), (bytes, _, style)) in head.iter().zip(folds).zip(row) {
            let cell = taken(&mut cells, *bytes);
            if !cell.is_empty() {
                // An id stays whole.
                let is_whole = fold == Fold::Never && !cell.contains(' ');
                let lines = wrap_cell(cell, if is_whole { usize::MAX } else { width.saturating_sub(column) });
                let lines: Vec<String> = lines.iter().map(|line| paint.with(*style, line)).collect();
                let head = paint.with(Style::Bold, head) + &" ".repeat(column - head.len());
                text.push_str(&format!("{head}{}\n", lines.join(&indent)));
            }
        }
    }
    text
}

/// The longest word of each column, and the longest that is not longer than the id of a key.
fn longest_words<const N: usize>(cells: &str, sizes: &[[(usize, usize, Style); N]]) -> [(usize, usize); N] {
    let (mut longest, mut rest) = ([(0, 0); N], cells);
    for row in sizes {
        for (number, (bytes, ..)) in row.iter().enumerate() {
            let (of_all, of_usual) = &mut longest[number];
            for word in taken(&mut rest, *bytes).split(' ').map(width_of) {
                *of_all = word.max(*of_all);
                if word <= LONGEST_WHOLE {
                    *of_usual = word.max(*of_usual);
                }
            }
        }
    }
    longest
}

/// Takes from the widest flexible column until the table fits. `least` is how narrow a column may become.
fn narrow<const N: usize>(widths: &mut [usize; N], least: [usize; N], flexible: [bool; N], width: Option<usize>) {
    let Some(width) = width else { return };
    loop {
        let total = total(widths);
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

/// Adds a line of cells, each with its number of characters, without space at the end.
fn add_line<const N: usize>(text: &mut String, cells: [(&str, usize, Style); N], widths: &[usize; N], paint: Paint) {
    let mut space = 0;
    for ((cell, length, style), width) in cells.into_iter().zip(widths).filter(|(_, width)| **width > 0) {
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

#[cfg(test)]
mod tests;
