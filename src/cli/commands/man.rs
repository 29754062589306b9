//! `man`: prints the manual page of the program, or writes a page for each command into a folder.

use std::path::Path;

use crate::cli::args::ManArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::manual::pages;
use crate::cli::output::terminal::to_stdout;

/// Runs `rotator man`.
///
/// # Errors
/// Exit code 1 if stdout or the folder cannot be written.
pub fn man(context: &Context, args: &ManArgs) -> Result<Exit, CliError> {
    let pages = pages().map_err(|error| {
        CliError::failed(format!("the manual page could not be made: {error}"), "see `rotator --help`")
    })?;
    let Some(folder) = &args.dir else {
        to_stdout(pages.first().map_or(&[], |page| &page.text))?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder).map_err(|error| not_written(folder, &error))?;
    for page in &pages {
        let path = folder.join(&page.file_name);
        std::fs::write(&path, &page.text).map_err(|error| not_written(&path, &error))?;
    }
    context.terminal.say(&format!("wrote {} pages to {}", pages.len(), folder.display()));
    Ok(Exit::Done)
}

fn not_written(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("{} cannot be written: {error}", path.display()), "name another folder with --dir")
}
