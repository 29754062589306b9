//! `schema`: prints a JSON Schema: that of rotator.toml, with which an editor completes and checks the file, or that of a
//! document that another command prints.

use super::{allow, doctor, store};
use crate::cli::args::SchemaCommand;
use crate::cli::config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::{Document, ErrorDocument, PlanDocument, to_bytes};
use crate::cli::output::schema;
use crate::cli::output::terminal::to_stdout;

/// Runs `rotator schema …`.
///
/// # Errors
/// Exit code 1 if stdout cannot be written.
pub fn schema(command: &SchemaCommand) -> Result<Exit, CliError> {
    let schema = match command {
        SchemaCommand::Config => config::schema(),
        SchemaCommand::Run => schema::of::<Document>(),
        SchemaCommand::Plan => schema::of::<PlanDocument>(),
        SchemaCommand::Doctor => schema::of::<doctor::Document>(),
        SchemaCommand::Allow => schema::of::<allow::Document<'_>>(),
        SchemaCommand::StoreList => schema::of::<store::Document>(),
        SchemaCommand::Error => schema::of::<ErrorDocument>(),
    };
    to_stdout(&to_bytes(&schema))?;
    Ok(Exit::Done)
}
