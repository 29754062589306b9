//! Writing to stdout and stderr. `println!` panics if stdout is closed, which could end the process between a create
//! and a store; here a closed stdout only ends the output. Control characters are always escaped.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Instant;

use super::columns::Paint;
use super::given::with_flags;
use super::look::Look;
use super::paragraph::paragraph;
use super::printable::printable;
use super::progress;
use super::times::Times;
use crate::cli::args::{ColorWhen, Global, OutputFormat};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::engine::options::Watcher;

/// How to write to stdout and stderr.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// The format of results on stdout.
    pub format: OutputFormat,
    pub color: bool,
    pub color_on_stderr: bool,
    /// The columns of stdout and of stderr. `None`: lines are not folded.
    pub width: Option<usize>,
    pub width_on_stderr: Option<usize>,
    /// Whether stderr is a terminal, so that progress may be shown.
    pub progress: bool,
    /// Whether the command can ask: stdin and stderr are a terminal.
    pub can_ask: bool,
    /// Whether only errors are printed.
    pub quiet: bool,
    /// When the command began.
    pub began: Instant,
}

/// Whether to use colour if no flag says so. A `NO_COLOR` that is set and not empty (<https://no-color.org>) precedes a
/// `CLICOLOR_FORCE` other than `0` (<https://bixense.com/clicolors/>), and both precede the terminal.
fn auto_color<'v>(is_terminal: bool, variable: impl Fn(&str) -> Option<&'v str>) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    let is_forced = variable("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    is_forced || (is_terminal && variable("TERM").is_none_or(|value| value != "dumb"))
}

fn has_color(asked: ColorWhen, is_terminal: bool, host: &HostEnv) -> bool {
    match asked {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => auto_color(is_terminal, |name| host.variable(name)),
    }
}

/// No terminal is taken for narrower than this.
pub const LEAST_WIDTH: usize = 40;

/// The columns of `stream`: what `COLUMNS` says, else the width of the terminal; `None` if it is no terminal.
fn width_of(stream: impl AsFd, is_terminal: bool, columns: Option<&str>) -> Option<usize> {
    let said = columns.and_then(|columns| columns.parse().ok());
    let seen = || is_terminal.then(|| rustix::termios::tcgetwinsize(stream).ok()).flatten();
    let width = said.or_else(|| seen().map(|size| usize::from(size.ws_col)));
    width.filter(|width| *width > 0).map(|width| width.max(LEAST_WIDTH))
}

impl Terminal {
    /// The settings of this process.
    #[must_use]
    pub fn of_this_process(global: &Global, host: &HostEnv) -> Self {
        let color = |terminal: bool| has_color(global.color, terminal, host);
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            format: global.output,
            color: color(out),
            color_on_stderr: color(err),
            width: width_of(io::stdout(), out, host.variable("COLUMNS")),
            width_on_stderr: width_of(io::stderr(), err, host.variable("COLUMNS")),
            progress: err && !global.quiet && global.verbose == 0,
            can_ask: err && io::stdin().is_terminal(),
            quiet: global.quiet,
            began: Instant::now(),
        }
    }

    /// Whether stdout gets JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// The layout of text on stdout.
    #[must_use]
    pub fn look(&self) -> Look {
        let wide = self.format == OutputFormat::Wide;
        Look { paint: Paint(self.color), width: self.width, wide, times: Times::here(), at_work: None }
    }

    /// The layout of text on stderr.
    #[must_use]
    pub fn look_on_stderr(&self) -> Look {
        Look { paint: Paint(self.color_on_stderr), width: self.width_on_stderr, ..self.look() }
    }

    /// The columns of stderr, if an operator reads along there.
    #[must_use]
    pub fn width_of_an_operator(&self) -> Option<usize> {
        self.width_on_stderr.filter(|_| self.progress)
    }

    /// The progress line, or without one, a line about each account or store that does not answer.
    #[must_use]
    pub fn watcher(&self) -> Option<Watcher> {
        (!self.quiet).then(|| progress::watcher(self.progress, self.width_on_stderr))
    }

    /// Prints a line on stderr, unless `--quiet` is set.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.warn(line);
        }
    }

    /// Prints text on stderr that is escaped already.
    pub fn raw(&self, text: &str) {
        progress::hide();
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// Prints a line on stderr, even with `--quiet`.
    pub fn warn(&self, line: &str) {
        progress::hide();
        let text = paragraph(&with_flags(line), 2, self.width_on_stderr);
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(printable(&text).as_bytes()).and_then(|()| stderr.flush());
    }
}

/// Writes to stdout and flushes. A closed stdout is not an error.
///
/// # Errors
/// Any other failure of stdout, such as a full disk.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    progress::hide();
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes what `text` returns for the colours and the columns of the stream, before the arguments are known.
///
/// # Errors
/// A failure of the stream other than that it is closed.
pub fn tell(
    is_stderr: bool,
    host: &HostEnv,
    asked: ColorWhen,
    text: impl FnOnce(bool, Option<usize>) -> String,
) -> io::Result<()> {
    let columns = host.variable("COLUMNS");
    if !is_stderr {
        let is_terminal = io::stdout().is_terminal();
        let text = text(has_color(asked, is_terminal, host), width_of(io::stdout(), is_terminal, columns));
        return print(text.as_bytes());
    }
    let is_terminal = io::stderr().is_terminal();
    let text = text(has_color(asked, is_terminal, host), width_of(io::stderr(), is_terminal, columns));
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush())
}

/// The lines of the terminal that stdout is.
#[must_use]
pub fn height() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_row)).filter(|rows| *rows > 0)
}

/// Writes the result of a command.
///
/// # Errors
/// [`CliError::failed`] if stdout cannot be written.
pub fn to_stdout(bytes: &[u8]) -> Result<(), CliError> {
    print(bytes).map_err(|error| {
        CliError::failed(format!("the output could not be written: {error}"), "what was done is in `rotator status`")
    })
}

/// Writes text for an operator, with the flags of this command line in the commands that it suggests.
///
/// # Errors
/// As [`to_stdout`].
pub fn text_to_stdout(text: &str) -> Result<(), CliError> {
    to_stdout(with_flags(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_about_colour_where_no_flag_does() {
        for (variables, on_a_terminal, elsewhere) in [
            (&[][..], true, false),
            (&[("TERM", "xterm")], true, false),
            (&[("TERM", "dumb")], false, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
        ] {
            let variable = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
            assert_eq!(auto_color(true, variable), on_a_terminal, "{variables:?} on a terminal");
            assert_eq!(auto_color(false, variable), elsewhere, "{variables:?} elsewhere");
        }
    }
}
