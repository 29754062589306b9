//! `completions`: prints a completion script for a shell, generated from the definition of the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Cli;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::terminal::to_stdout;

/// Runs `rotator completions SHELL`.
///
/// # Errors
/// Exit code 1 if stdout cannot be written.
pub fn completions(shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rotator", &mut script);
    to_stdout(&script)?;
    Ok(Exit::Done)
}
