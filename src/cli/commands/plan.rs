//! `plan`: shows what `run` would do. It changes nothing, and makes no journal.

use std::sync::{Arc, Mutex};

use crate::adapters::system_clock::SystemClock;
use crate::cli::args::ChoiceArgs;
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::counted::{self, Counted};
use crate::cli::output::document::{PlanDocument, to_bytes};
use crate::cli::output::entry_counts;
use crate::cli::output::given;
use crate::cli::output::look::Look;
use crate::cli::output::paragraph::paragraph;
use crate::cli::output::plan_table;
use crate::cli::output::progress;
use crate::cli::output::terminal::{text_to_stdout, to_stdout};
use crate::cli::passes::campaign_failed;
use crate::cli::runtime::block_on;
use crate::cli::snapshot::{ReadMade, Snapshot};
use crate::cli::wiring;
use crate::cli::wiring::journal::{self, storage_failed};
use crate::engine::campaign::hold_back;
use crate::engine::error::CampaignError;
use crate::engine::shutdown::Stop;
use crate::engine::survey::{Survey, Taken, survey};
use crate::journal::clock::Clock;
use crate::journal::store::{RotationFilter, StorageError};

/// Runs `rotator plan`.
///
/// # Errors
/// [`CliError`] if the journal, a store or AWS cannot be read.
pub fn plan(context: &Context, args: &ChoiceArgs) -> Result<Exit, CliError> {
    let config = context.config(args)?;
    let choice = config.choice();
    let (snapshot, taken) = what_is_taken(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (mut survey, identities) = block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let watcher = context.terminal.watcher();
        let session = Box::pin(wiring::connect(&config, context, &clock, &stop, false, watcher)).await?;
        let survey = survey(&session, &choice, &taken).await;
        let survey = survey.map_err(|error| campaign_failed(&CampaignError::Survey(error)))?;
        Ok((survey, session.stores.known_identities()))
    }))?;
    entry_counts::say(&survey.entries, &identities, context.terminal);
    for warning in survey.warnings() {
        context.terminal.warn(&warning);
    }
    survey.check_only().map_err(|error| campaign_failed(&error))?;
    let notes = snapshot.campaign.as_ref().map(|campaign| &campaign.notes);
    hold_back(&mut survey, config.limit, notes);
    progress::end();
    let look = context.terminal.look();
    let document = PlanDocument::new(&survey, look.times.now());
    if context.terminal.is_json() {
        to_stdout(&to_bytes(&document))?;
    } else {
        let run = format!("`rotator run{}`", given::choice_flags(args));
        text_to_stdout(&text(&document, &survey, snapshot.open.len(), &run, &look))?;
    }
    if let Some(warning) = plan_table::warning_at_once(&document.due) {
        context.terminal.say(&warning);
    }
    Ok(Exit::Done)
}

/// `run`: the command that does what is shown.
fn text(document: &PlanDocument, survey: &Survey, in_flight: usize, run: &str, look: &Look) -> String {
    let mut text = plan_table::plan(document, look);
    if !text.is_empty() {
        text.push('\n');
    }
    for line in plan_table::steps(&document.due, &look.times) {
        text.push_str(&paragraph(&line, 2, look.width));
    }
    if in_flight > 0 {
        text.push_str(&format!("{in_flight} in flight, which {run} finishes first\n"));
    }
    text.push_str(&paragraph(&conclusion(document, survey, in_flight, run, look), 2, look.width));
    text
}

/// What `run` would rotate, in one sentence.
fn conclusion(document: &PlanDocument, survey: &Survey, in_flight: usize, run: &str, look: &Look) -> String {
    let Counted { due, held_back, unused, needs_operator, unsaid, not_due } = Counted::of(document, survey);
    let entries: usize = survey.entries.values().sum();
    let mut line = match (due, needs_operator) {
        (0, 0) if entries == 0 => "the stores have no entries, so there is nothing to rotate".to_owned(),
        (0, 0) if document.skipped.is_empty() && in_flight == 0 => {
            format!("no AWS access key was found in {}", entry_counts::count(entries))
        }
        (0, 0) => "no key is due".to_owned(),
        (0, _) => "nothing can be rotated".to_owned(),
        (1, _) => format!("1 key is due: {run} rotates it"),
        (_, _) => format!("{due} keys are due: {run} rotates them"),
    };
    if held_back > 0 {
        line.push_str(&format!("; the limit holds back {held_back} more"));
    }
    if unsaid > 0 {
        line.push_str(&format!("; {}, see above: run it again", counted::unsaid(unsaid)));
    }
    match unused {
        0 => {}
        number => line.push_str(&format!("; {number} unused, see above")),
    }
    match needs_operator {
        0 => {}
        1 => line.push_str("; 1 needs an operator, see above"),
        _ => line.push_str(&format!("; {needs_operator} need an operator, see above")),
    }
    if let Some(first) = not_due.iter().min() {
        let number = not_due.len();
        let verb = if number == 1 { "is" } else { "are" };
        line.push_str(&format!("; {number} {verb} not due yet (the first {})", look.times.until_short(*first)));
    }
    line
}

/// Reads the journal, and derives the keys that `run` would not open because of it.
pub(super) fn what_is_taken(config: &Config) -> Result<(Snapshot, Taken), CliError> {
    let Some(reader) = journal::read(&config.journal)? else { return Ok(Default::default()) };
    let read = || {
        let all = if config.sinks.is_empty() { Vec::new() } else { reader.summaries(RotationFilter::All)? };
        let snapshot = Snapshot::read(&reader)?;
        let made_by_campaign = match snapshot.campaign.as_ref().filter(|campaign| !campaign.closed) {
            Some(campaign) => reader.keys_made_by(campaign.id)?,
            None => Vec::new(),
        };
        Ok((snapshot, all, made_by_campaign))
    };
    let (snapshot, all, made_by_campaign) = read().map_err(|error: StorageError| storage_failed(&error))?;
    let made = Arc::new(ReadMade(Mutex::new(reader)));
    let taken = Taken::from_journal(&snapshot.open, &all, made_by_campaign, made);
    Ok((snapshot, taken))
}
