//! `man`: prints the manual page, generated from the definition of the command line.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::terminal::to_stdout;

/// Runs `rotator man`.
///
/// # Errors
/// Exit code 1 if stdout cannot be written.
pub fn man() -> Result<Exit, CliError> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    // Gives each command its full name.
    command.build();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page).and_then(|()| {
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            clap_mangen::Man::new(command.clone()).render(&mut page)?;
        }
        Ok(())
    });
    rendered.map_err(|error| {
        CliError::failed(format!("the manual page could not be made: {error}"), "see `rotator --help`")
    })?;
    to_stdout(&page)?;
    Ok(Exit::Done)
}
