//! Writing to stdout and stderr. `println!` panics on a closed stdout, which could kill between create and store; here
//! a reader that went away ends the printing and nothing else. Control characters never reach a terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::cli::args::{ColorWhen, Global, OutputFormat};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;

/// How to speak on stdout and stderr.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// What stdout gets.
    pub format: OutputFormat,
    /// Whether stdout may be coloured.
    pub color: bool,
    /// Whether stderr may be coloured.
    pub color_on_stderr: bool,
    /// Whether somebody watches stderr: progress may be shown there.
    pub progress: bool,
    /// Whether somebody can be asked: stdin and stderr are a terminal.
    pub can_ask: bool,
    /// Say only what went wrong.
    pub quiet: bool,
}

impl Terminal {
    /// As this process has it.
    #[must_use]
    pub fn of_this_process(global: &Global, host: &HostEnv) -> Self {
        let no_color = host.variable("NO_COLOR").is_some();
        let color = |terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !no_color,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            format: global.output,
            color: color(out),
            color_on_stderr: color(err),
            progress: err && !global.quiet && global.verbose == 0,
            can_ask: err && io::stdin().is_terminal(),
            quiet: global.quiet,
        }
    }

    /// Whether a program reads stdout.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// A line for people on stderr; nothing if they asked for quiet.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.warn(line);
        }
    }

    /// Text that is printable already, on stderr as it is.
    pub fn raw(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// A line for people on stderr.
    pub fn warn(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{}", printable(line));
    }
}

/// Writes to stdout and flushes. A reader that went away is no error.
///
/// # Errors
/// Whatever else stdout answers: a full disk, for example.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// `text` with its control characters written out, lines kept: a stored name must not move the cursor.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c.escape_unicode().collect())
}

/// The same for text that is JSON already: an escape of JSON's own, so that it says what it said. (JSON itself asks for
/// escapes of the first 32 characters only, and terminals obey others.)
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    written_out(json, |c| format!("\\u{:04x}", u32::from(c)))
}

fn written_out(text: &str, write: impl Fn(char) -> String) -> Cow<'_, str> {
    // Marks of writing direction reorder what is displayed after them.
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if harmful(c) { write(c) } else { c.to_string() }).collect())
}

/// Writes a command's result.
///
/// # Errors
/// [`CliError::failed`] if stdout takes no more.
pub fn to_stdout(bytes: &[u8]) -> Result<(), CliError> {
    print(bytes).map_err(|error| {
        CliError::failed(format!("the output could not be written: {error}"), "what was done is in `rotator status`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("plain ünïcode\nline"), "plain ünïcode\nline");
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("a\rb\u{202e}c"), "a\\u{d}b\\u{202e}c");
        assert_eq!(printable("\u{9b}2J\u{7f}\u{61c}"), "\\u{9b}2J\\u{7f}\\u{61c}");
    }

    #[test]
    fn json_stays_the_same_document() {
        let text = "a\u{9b}2J\u{202e}\u{7f}\u{1b}\n\"ü";
        let json = serde_json::to_string(&[text]).expect("JSON");
        let printable = printable_json(&json);
        assert!(!printable.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{printable}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&printable).expect("JSON"), [text]);
    }
}
