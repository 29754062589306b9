//! `plan`: shows what `run` would do. It changes nothing, and makes no journal.

use std::sync::{Arc, Mutex};

use crate::adapters::system_clock::SystemClock;
use crate::cli::args::ChoiceArgs;
use crate::cli::config::{AT_ONCE, Config};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::{PlanDocument, to_bytes};
use crate::cli::output::entry_counts;
use crate::cli::output::table::{self, Paint};
use crate::cli::output::terminal::to_stdout;
use crate::cli::passes::campaign_failed;
use crate::cli::runtime::block_on;
use crate::cli::snapshot::{ReadMade, Snapshot};
use crate::cli::wiring;
use crate::cli::wiring::journal::{self, storage_failed};
use crate::engine::error::CampaignError;
use crate::engine::shutdown::Stop;
use crate::engine::survey::{Taken, survey};
use crate::journal::clock::Clock;
use crate::journal::store::{RotationFilter, StorageError};

/// Runs `rotator plan`.
///
/// # Errors
/// [`CliError`] if the journal, a store or AWS cannot be read.
pub fn plan(context: &Context, args: &ChoiceArgs) -> Result<Exit, CliError> {
    let config = context.config(args)?;
    let choice = config.choice(args)?;
    let (snapshot, taken) = what_is_taken(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let survey = block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let session = Box::pin(wiring::connect(&config, &context.host, &clock, &stop, false, context.terminal)).await?;
        survey(&session, &choice, &taken).await.map_err(|error| campaign_failed(&CampaignError::Survey(error)))
    }))?;
    entry_counts::say(&survey.entries, context.terminal);
    for warning in survey.warnings() {
        context.terminal.warn(&warning);
    }
    survey.check_only().map_err(|error| campaign_failed(&error))?;
    let document = PlanDocument::new(&survey.due, &survey.left_alone);
    let number = document.due.len();
    let in_flight = snapshot.open.len();
    if context.terminal.is_json() {
        to_stdout(&to_bytes(&document))?;
    } else {
        let mut text = table::plan(&document, Paint(context.terminal.color));
        if !text.is_empty() {
            text.push('\n');
        }
        if in_flight > 0 {
            text.push_str(&format!("{in_flight} in flight, which `rotator run` finishes first\n"));
        }
        text.push_str(&match number {
            0 => "no key is due".to_owned(),
            1 => "1 key is due: `rotator run` rotates it".to_owned(),
            _ => format!("{number} keys are due: `rotator run` rotates them"),
        });
        text.push_str(&match survey.left_alone.iter().filter(|note| note.due).count() {
            0 => "\n".to_owned(),
            1 => "; 1 needs an operator, see above\n".to_owned(),
            needs_operator => format!("; {needs_operator} need an operator, see above\n"),
        });
        to_stdout(text.as_bytes())?;
    }
    if config.deletes_at_once() {
        context.terminal.say(AT_ONCE);
    }
    Ok(Exit::Done)
}

/// Reads the journal, and derives the keys that `run` would not open because of it.
pub(super) fn what_is_taken(config: &Config) -> Result<(Snapshot, Taken), CliError> {
    let Some(reader) = journal::read(&config.journal)? else { return Ok(Default::default()) };
    let read = || {
        let all = if config.sinks.is_empty() { Vec::new() } else { reader.summaries(RotationFilter::All)? };
        Ok((Snapshot::read(&reader)?, all))
    };
    let (snapshot, all) = read().map_err(|error: StorageError| storage_failed(&error))?;
    let is_open = snapshot.campaign.as_ref().is_some_and(|campaign| !campaign.closed);
    let of_campaign = if is_open { &snapshot.of_campaign[..] } else { &[] };
    let made_by_campaign = of_campaign.iter().filter_map(|summary| summary.rotation.new_key.clone());
    let made = Arc::new(ReadMade(Mutex::new(reader)));
    let taken = Taken::from_journal(&snapshot.open, &all, made_by_campaign, made);
    Ok((snapshot, taken))
}
