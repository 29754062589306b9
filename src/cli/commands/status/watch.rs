//! `status --watch`: the status on a screen of its own, again and again.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Seen, look};
use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::terminal::{height, to_stdout};

/// The time between two readings of the journal.
const EVERY: Duration = Duration::from_secs(2);

/// Switches to a screen of its own, as `less` does, and hides the cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
/// Restores the screen and the cursor.
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// Moves the cursor to the upper left corner and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Shows the status until a signal ends it.
pub(super) fn watch(context: &Context, args: &StatusArgs) -> Result<Exit, CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("signals cannot be listened for: {error}"), "use `rotator status` without --watch")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let mut signals = kinds.map(|kind| signal(kind).map_err(failed));
        to_stdout(ENTER.as_bytes())?;
        let result = until_signalled(context, args, &mut signals).await;
        to_stdout(LEAVE.as_bytes())?;
        result
    })
}

async fn until_signalled(
    context: &Context,
    args: &StatusArgs,
    signals: &mut [Result<Signal, CliError>; 3],
) -> Result<Exit, CliError> {
    loop {
        let seen = look(context, args)?;
        to_stdout(format!("{CLEAR}{}", screen(&seen, &now(context), height())).as_bytes())?;
        let mut heard = signals.iter_mut().flatten().map(|signal| Box::pin(signal.recv())).collect::<Vec<_>>();
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = futures_util::future::select_all(&mut heard) => return Ok(Exit::Done),
        }
    }
}

fn now(context: &Context) -> String {
    let times = context.terminal.look().times;
    times.local(times.now())
}

/// The status with its last line at the top, cut to the height of the terminal.
fn screen(seen: &Seen, now: &str, height: Option<usize>) -> String {
    let heading = format!("rotator status   {now}   Ctrl-C ends it\n{}\n", seen.line);
    let room = height.unwrap_or(usize::MAX).saturating_sub(heading.lines().count() + 1);
    let lines: Vec<&str> = seen.body.lines().collect();
    if lines.len() <= room {
        return format!("{heading}{}", seen.body);
    }
    let shown = room.saturating_sub(1);
    let cut: String = lines.iter().take(shown).map(|line| format!("{line}\n")).collect();
    format!("{heading}{cut}… {} more lines", lines.len() - shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_is_cut_to_the_height_and_keeps_the_counts() {
        let seen = Seen { body: "a\nb\nc\nd\n".to_owned(), line: "4 in flight\n".to_owned(), exit: Exit::InFlight };
        let whole = "rotator status   05:55:36 CET   Ctrl-C ends it\n4 in flight\n\na\nb\nc\nd\n";
        assert_eq!(screen(&seen, "05:55:36 CET", None), whole);
        assert_eq!(screen(&seen, "05:55:36 CET", Some(8)), whole);
        let cut = screen(&seen, "05:55:36 CET", Some(7));
        assert_eq!(cut, "rotator status   05:55:36 CET   Ctrl-C ends it\n4 in flight\n\na\nb\n… 2 more lines");
        assert_eq!(cut.lines().count(), 6, "the cursor stays on the last line");
    }
}
