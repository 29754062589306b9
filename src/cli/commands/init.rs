//! `init`: writes a rotator.toml to start with, and makes the embedded store if it is missing. It never overwrites a
//! file. The new file is trusted, as after `rotator allow`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use super::store::open_or_make;
use crate::cli::args::InitArgs;
use crate::cli::config::Found;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// The content of the new file.
const TEMPLATE: &str = include_str!("init/rotator.toml");

/// Runs `rotator init`.
///
/// # Errors
/// Exit code 2 if the file exists already, 1 if the file or the store cannot be made.
pub fn init(context: &Context, args: &InitArgs) -> Result<Exit, CliError> {
    let path = &args.file;
    // A configuration file that is found and not valid is reported before another one is written. A file that is
    // named may be the one that is to be written.
    if context.global.config.is_none() && !context.host.names_a_file() {
        context.config(&Default::default())?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return CliError::usage(
                format!("{} is there already, and init overwrites nothing", path.display()),
                "edit it, or name another file: rotator init FILE",
            );
        }
        CliError::failed(
            format!("{} cannot be written: {error}", path.display()),
            "name another file: rotator init FILE",
        )
    })?;
    file.write_all(TEMPLATE.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        CliError::failed(format!("{} cannot be written: {error}", path.display()), "remove it and try again")
    })?;
    drop(file);
    let written = Found::named(path, "the command line", &context.host)?;
    if let Err(error) = written.allow(&context.host) {
        // The template does nothing that requires permission, so the failure is only a warning.
        context.terminal.warn(&format!("rotator: warning: {error}"));
    }
    let config = context.config(&Default::default())?;
    open_or_make(context, &config)?;
    context.terminal.say(&format!(
        "wrote {}; next: set [owner] in it, fill the store with `rotator store import FILE`, then `rotator doctor`",
        path.display()
    ));
    Ok(Exit::Done)
}
