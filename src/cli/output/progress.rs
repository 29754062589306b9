//! A progress line on the terminal: what is under way, how much of it is done, and for how long. The next line overwrites
//! it, and so does any other output on stderr. Where there is no such line, an account or a store that does not answer is
//! named in a line of its own.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::awaited::{Awaited, Silent};
use super::paragraph::paragraph;
use super::printable::printable;
use super::times;
use crate::engine::options::{Progress, Watcher};
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, State};
use crate::types::name::RotationId;
use crate::types::time::Timestamp;

/// Moves the cursor to the start of the line and clears the rest.
const WIPE: &str = "\r\u{1b}[K";

/// The time between two lines where nothing changes. The time in the line goes on.
const EVERY: Duration = Duration::from_secs(1);

/// The least time between two lines. Thousands of changes in a second are not worth a line each.
const LEAST: Duration = Duration::from_millis(50);

/// An account or a store that has not answered for this long is named in the progress line.
pub const SILENT_FOR: Duration = Duration::from_secs(3);

/// The same where each has a line of its own.
const TOLD_AFTER: Duration = Duration::from_secs(5);

const REMOVING: &str = "removing old keys";

/// The line, if there is one. A process has one terminal.
static LINE: Mutex<Option<Line>> = Mutex::new(None);

struct Line {
    work: Work,
    awaited: Awaited,
    /// Whether it is drawn: stderr is a terminal.
    is_shown: bool,
    began: Instant,
    drawn: Option<Instant>,
    is_paused: bool,
    width: Option<usize>,
}

/// What is known of the work.
#[derive(Debug, Default)]
struct Work {
    /// How many keys are due, once that is known.
    due: Option<usize>,
    rotations: BTreeMap<RotationId, Stage>,
    /// When the next scan for the keys that are to be removed begins.
    scan_at: Option<Timestamp>,
}

/// What a rotation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Making,
    Proving,
    Storing,
    Removing,
    Waiting(Timestamp),
    /// A call was refused, and is tried again then.
    PutOff(Timestamp),
    Blocked,
    Closed,
}

impl Stage {
    fn of(rotation: &Rotation) -> Self {
        let phase = match &rotation.state {
            State::Blocked { .. } => return Self::Blocked,
            State::Closed { .. } => return Self::Closed,
            State::Settled { phase } | State::InDoubt { phase, .. } => phase,
        };
        match (rotation.waiting_until, phase, rotation.state.intent()) {
            (Some(until), Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }, None) => Self::Waiting(until),
            (_, Phase::Opened, _) => Self::Making,
            (_, Phase::CreatedNew { .. }, None) => Self::Proving,
            (_, Phase::CreatedNew { .. }, Some(_)) => Self::Storing,
            (_, Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }, _) => Self::Removing,
        }
    }

    const fn waits(&self) -> Option<Timestamp> {
        if let Self::Waiting(until) = self { Some(*until) } else { None }
    }

    const fn put_off(&self) -> Option<Timestamp> {
        if let Self::PutOff(until) = self { Some(*until) } else { None }
    }
}

/// A watcher that shows each change of a rotation, on a terminal with this many columns. `is_shown`: whether stderr is one.
#[must_use]
pub fn watcher(is_shown: bool, width: Option<usize>) -> Watcher {
    let mut line = line();
    let is_first = line.is_none();
    let began = line.as_ref().map_or_else(Instant::now, |line| line.began);
    let (work, awaited) = (Work::default(), Awaited::default());
    *line = Some(Line { work, awaited, is_shown, began, drawn: None, is_paused: false, width });
    drop(line);
    if is_first {
        // Without this thread the line does not change while a call has no answer.
        let drawing = std::thread::Builder::new().name("progress".to_owned()).spawn(|| {
            while draw(EVERY) {
                std::thread::sleep(EVERY);
            }
        });
        drop(drawing);
    }
    Arc::new(|heard| {
        let mut line = self::line();
        let Some(line) = line.as_mut() else { return };
        match heard {
            Progress::Due { keys, .. } => line.work.due = Some(keys),
            Progress::Changed(rotation) => {
                line.work.rotations.insert(rotation.id, Stage::of(rotation));
            }
            Progress::PutOff(rotation, span) => {
                line.work.rotations.insert(rotation, Stage::PutOff(now().plus(span)));
            }
            Progress::Gathering(span) => line.work.scan_at = Some(now().plus(span)),
            // The line changes with the time.
            Progress::Asked(who) => return line.awaited.asked(who, Instant::now()),
            Progress::Ended(who, failed) => return line.awaited.ended(who, failed, Instant::now()),
        }
        line.draw(LEAST);
    })
}

/// Removes the line until the next change.
pub fn hide() {
    if let Some(line) = line().as_mut().filter(|line| line.drawn.is_some()) {
        line.drawn = None;
        show(WIPE);
    }
}

/// Removes the line while the command asks something.
pub fn pause() {
    hide();
    if let Some(line) = line().as_mut() {
        line.is_paused = true;
    }
}

/// Shows the line again.
pub fn go_on() {
    if let Some(line) = line().as_mut() {
        line.is_paused = false;
    }
}

/// What the command that is under way waits for, before it changes anything.
pub enum Looking {
    /// An operator is asked something, or the command has ended.
    Paused,
    /// It looks at the stores and at AWS.
    Still(Vec<Silent>),
    /// It has begun to advance rotations. `is_refused`: a call was refused, and is tried again later.
    Advancing { silent: Vec<Silent>, is_refused: bool },
}

/// Returns how far the command is, and who has not answered for [`SILENT_FOR`].
pub fn looking() -> Looking {
    let line = line();
    let Some(line) = line.as_ref().filter(|line| !line.is_paused) else { return Looking::Paused };
    let silent = line.awaited.silent(Instant::now(), SILENT_FOR);
    let Work { due, rotations, .. } = &line.work;
    if due.is_none() && rotations.is_empty() {
        return Looking::Still(silent);
    }
    let is_refused = rotations.values().any(|stage| stage.put_off().is_some());
    Looking::Advancing { silent, is_refused }
}

/// Counts those who do not answer as named to the operator.
pub fn told_who_is_silent() {
    if let Some(line) = line().as_mut() {
        line.awaited.take_unreported(Instant::now(), SILENT_FOR);
    }
}

/// Removes the line for good.
pub fn end() {
    if line().take().is_some_and(|line| line.drawn.is_some()) {
        show(WIPE);
    }
}

fn line() -> MutexGuard<'static, Option<Line>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws the line if there is one, unless it is newer than `least`.
fn draw(least: Duration) -> bool {
    line().as_mut().map(|line| line.draw(least)).is_some()
}

impl Line {
    fn draw(&mut self, least: Duration) {
        if !self.is_shown {
            let width = self.width;
            let silent = self.awaited.take_unreported(Instant::now(), TOLD_AFTER);
            return silent.iter().for_each(|one| show(&printable(&paragraph(&one.in_full(), 2, width))));
        }
        if self.is_paused || self.drawn.is_some_and(|drawn| drawn.elapsed() < least) {
            return;
        }
        let silent = self.awaited.silent(Instant::now(), SILENT_FOR);
        let text = silent.iter().map(Silent::in_short).chain([self.work.text(now())]).collect::<Vec<_>>().join("   ");
        let line = fitted(&text, &clock(self.began.elapsed()), self.width);
        show(&format!("{WIPE}{}", printable(&line)));
        self.drawn = Some(Instant::now());
    }
}

fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// The text with the time at its end, cut to the width.
fn fitted(text: &str, time: &str, width: Option<usize>) -> String {
    // A line that fills the whole width would go on to the next one on some terminals.
    let most = width.map_or(usize::MAX, |width| width.saturating_sub(time.len() + 4));
    if text.chars().count() <= most {
        return format!("{text}   {time}");
    }
    format!("{}…  {time}", text.chars().take(most.saturating_sub(1)).collect::<String>())
}

/// Minutes and seconds: `0:07`, `75:00`.
fn clock(span: Duration) -> String {
    format!("{}:{:02}", span.as_secs() / 60, span.as_secs() % 60)
}

impl Work {
    fn text(&self, now: Timestamp) -> String {
        if self.rotations.is_empty() {
            return match self.due {
                None => "reading the stores, asking IAM".to_owned(),
                Some(1) => "checking 1 key that is due".to_owned(),
                Some(due) => format!("checking {due} keys that are due"),
            };
        }
        let number = |stage: fn(&Stage) -> bool| self.rotations.values().filter(|found| stage(found)).count();
        let all = self.due.unwrap_or_default().max(self.rotations.len());
        let mut parts = vec![format!("done {}/{all}", number(|stage| *stage == Stage::Closed))];
        for (number, what) in [
            (number(|stage| *stage == Stage::Making), "making new keys"),
            (number(|stage| *stage == Stage::Proving), "proving new keys"),
            (number(|stage| *stage == Stage::Storing), "storing"),
            (number(|stage| *stage == Stage::Removing), REMOVING),
            (number(|stage| *stage == Stage::Blocked), "blocked"),
        ] {
            let scans = what == REMOVING && number > 0;
            if let Some(at) = self.scan_at.filter(|at| scans && *at > now) {
                // Until then nothing is removed.
                parts
                    .push(format!("to remove: {number} (looked for in all entries in {})", times::wait(at.since(now))));
            } else if number > 0 {
                parts.push(format!("{what}: {number}"));
            }
        }
        let until = |moment: Timestamp, then: &str| match moment > now {
            true => format!("{then} in {}", times::wait(moment.since(now))),
            false => format!("{then} now"),
        };
        let put_off = self.rotations.values().filter_map(Stage::put_off);
        if let Some(next) = put_off.clone().min() {
            parts.push(format!("refused: {} ({})", put_off.count(), until(next, "tried again")));
        }
        let waits = self.rotations.values().filter_map(Stage::waits);
        if let Some(next) = waits.clone().min() {
            parts.push(format!("waiting: {} ({})", waits.count(), until(next, "next")));
        }
        parts.join("   ")
    }
}

fn show(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    #[test]
    fn the_line_says_what_is_under_way() {
        let mut work = Work::default();
        assert_eq!(work.text(at(0)), "reading the stores, asking IAM");
        work.due = Some(5);
        assert_eq!(work.text(at(0)), "checking 5 keys that are due");
        let stages = [Stage::Closed, Stage::Proving, Stage::Proving, Stage::Waiting(at(61)), Stage::Waiting(at(41))];
        for (number, stage) in stages.into_iter().enumerate() {
            work.rotations.insert(RotationId::from_uuid(uuid::Uuid::from_u128(number as u128)), stage);
        }
        assert_eq!(work.text(at(0)), "done 1/5   proving new keys: 2   waiting: 2 (next in 41 s)");
        assert_eq!(work.text(at(50)), "done 1/5   proving new keys: 2   waiting: 2 (next now)");
    }

    #[test]
    fn the_line_says_what_is_waited_for_where_nothing_is_under_way() {
        let mut work = Work::default();
        for (number, stage) in [Stage::PutOff(at(60)), Stage::Removing, Stage::Removing].into_iter().enumerate() {
            work.rotations.insert(RotationId::from_uuid(uuid::Uuid::from_u128(number as u128)), stage);
        }
        work.scan_at = Some(at(30));
        let waits = "done 0/3   to remove: 2 (looked for in all entries in 30 s)   refused: 1 (tried again in 1 min)";
        assert_eq!(work.text(at(0)), waits);
        assert_eq!(work.text(at(60)), "done 0/3   removing old keys: 2   refused: 1 (tried again now)");
    }

    #[test]
    fn the_line_is_cut_to_the_width_and_keeps_the_time() {
        assert_eq!(fitted("done 1/5", "0:07", None), "done 1/5   0:07");
        assert_eq!(fitted("done 1/5", "0:07", Some(16)), "done 1/5   0:07");
        let cut = fitted("done 1/5", "0:07", Some(14));
        assert_eq!(cut, "done …  0:07");
        assert_eq!(clock(Duration::from_secs(4500)), "75:00");
    }
}
