//! `init`: looks for stores that hold keys, and writes a rotator.toml with them. It never overwrites a file, and makes a
//! store only if it is named. The new file is trusted, as after `rotator allow`.

mod count;
mod documents;
mod found;
mod look;
mod text;

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use found::{Found, WIDTH, cut};
use look::Look;

use super::store::open_or_make_at;
use crate::adapters::shown_url;
use crate::cli::args::InitArgs;
use crate::cli::config::{self, Config, FILE_NAME, StoreKind, StoreUri};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::host_env::HostEnv;
use crate::cli::output::printable::printable;
use crate::cli::runtime::block_on;
use crate::engine::survey::owner_rule::Owner;
use crate::types::shell::quoted;
use crate::types::time::words;

/// The beginning of a line that continues another one.
const INDENT: &str = "        ";

/// Runs `rotator init`. Whatever may fail comes before the file, so that a failure leaves none.
///
/// # Errors
/// Exit code 2 if the file exists already, 1 if the file or a named store cannot be made.
pub fn init(context: &Context, args: &InitArgs) -> Result<Exit, CliError> {
    let (host, path) = (&context.host, context.host.folder.join(&args.file));
    // A configuration file that is found and not valid is reported before another one is written. A file that is
    // named may be the one that is to be written.
    if context.global.config.is_none() && !host.names_a_file() {
        context.config(&Default::default())?;
    }
    check_free(&path, &args.file)?;
    let look = Look { host, beside: path.parent() == Some(host.folder.as_path()) };
    if !look.beside && host.folder.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control) {
        // Its path would be in the file.
        return Err(CliError::usage("the name of the working directory has a control character", "run init elsewhere"));
    }
    let named = named(context, look.beside)?;
    let (mut text, lines, stores) = if named.is_empty() {
        let found = block_on(async { Ok(look.look().await) })?;
        (text::with_found(&found), said(&found), found.iter().map(|one| one.stores.len()).sum())
    } else {
        let uris: Vec<String> = named.iter().map(|store| store.written.clone()).collect();
        (text::with_named(&uris), named.iter().map(Named::line).collect(), named.len())
    };
    if names_owners(host) {
        text = text::without_owners_of_aws(&text);
    }
    let config = Config::of_text(&path, &text, &context.global, host)?;
    lines.iter().for_each(|line| context.terminal.say(line));
    for Named { uri, written, .. } in &named {
        let made = uri.embedded_path().map(|file| open_or_make_at(context, file)).transpose()?;
        if let Some((_, Some(key))) = made {
            let line = format!("made    {}", shown_url(written));
            context.terminal.say(&cut(&line, WIDTH));
            context.terminal.say(&format!("{INDENT}{key}: back up both"));
        }
    }
    write(&path, &args.file, &text)?;
    // A file that needs no permission is read without it, so that the failure is only a warning.
    let trusted = config::Found::named(&path, "the command line", host).and_then(|written| written.allow(host));
    say_wrote(context, &args.file, &config, stores);
    match trusted {
        Ok(records) => say_trusted(context, &records),
        Err(error) => context.terminal.warn(&format!("rotator: warning: {error}")),
    }
    say_next(context, &args.file, &path, stores);
    Ok(Exit::Done)
}

/// Checks that the file can be made.
fn check_free(path: &Path, shown: &Path) -> Result<(), CliError> {
    if path.symlink_metadata().is_ok() {
        return Err(is_there(shown));
    }
    let folder = path.parent().unwrap_or(path);
    let is_writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    is_writable.map_err(|error| not_writable(shown, &error.into()))
}

fn is_there(shown: &Path) -> CliError {
    CliError::usage(
        format!("{} is there already, and init overwrites nothing", shown.display()),
        "edit it, or name another file: rotator init FILE",
    )
}

fn not_writable(shown: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(
        format!("{} cannot be written: {error}", shown.display()),
        "there is no new configuration file; name another: rotator init FILE",
    )
}

/// Writes the file, or leaves none.
fn write(path: &Path, shown: &Path, text: &str) -> Result<(), CliError> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists { is_there(shown) } else { not_writable(shown, &error) }
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // It was made a moment ago, and half of it is worse than none.
        let _ = fs::remove_file(path);
        not_writable(shown, &error)
    })
}

/// A store that the caller has named.
struct Named {
    uri: StoreUri,
    /// The URI as the file has it.
    written: String,
    by: &'static str,
}

impl Named {
    fn line(&self) -> String {
        cut(&format!("named   {}   by {}", shown_url(&self.written), self.by), WIDTH)
    }
}

/// The stores of `--store`, else of `ROTATOR_STORE`.
fn named(context: &Context, beside: bool) -> Result<Vec<Named>, CliError> {
    let host = &context.host;
    let of_variable = || host.variable("ROTATOR_STORE").into_iter().flat_map(str::lines);
    let (uris, by): (Vec<&str>, _) = match &context.global.store[..] {
        [] => (of_variable().map(str::trim).filter(|uri| !uri.is_empty()).collect(), "ROTATOR_STORE"),
        given => (given.iter().map(|uri| uri.trim()).collect(), "--store"),
    };
    let one = |text: &str| {
        let uri = StoreUri::parse(text, &host.folder, host)?;
        let written = match &uri.kind {
            // A relative path would start at the folder of the file.
            StoreKind::Sqlite(_) | StoreKind::File(_) | StoreKind::Sops(_) if !beside => uri.name.to_string(),
            StoreKind::Exec(_) if !beside => {
                return Err(CliError::usage(
                    format!("the program of `{}` would be started in the folder of the file", shown_url(text)),
                    "run init in that folder",
                ));
            }
            StoreKind::Sqlite(_)
            | StoreKind::File(_)
            | StoreKind::Sops(_)
            | StoreKind::SecretsManager(_)
            | StoreKind::ParameterStore(_)
            | StoreKind::Vault(_)
            | StoreKind::Kubernetes(_)
            | StoreKind::Exec(_) => text.to_owned(),
        };
        Ok(Named { uri, written, by })
    };
    uris.into_iter().map(one).collect()
}

/// Whether a variable names the owners in a way that excludes asking AWS.
fn names_owners(host: &HostEnv) -> bool {
    host.variables.iter().any(|(name, _)| ["ROTATOR_OWNER_TEMPLATE", "ROTATOR_OWNER_TABLE"].contains(&name.as_str()))
}

fn said(found: &[Found]) -> Vec<String> {
    let mut lines = found::lines(found);
    if found.iter().all(|one| one.stores.is_empty()) {
        lines.push("found   no AWS key in .env* here, ~/.aws/credentials and the folders below here".to_owned());
    }
    lines
}

/// Says what the file means, in lines that fit the terminal.
fn say_wrote(context: &Context, shown: &Path, config: &Config, stores: usize) {
    let stores = match stores {
        0 => "no store yet".to_owned(),
        1 => "this store".to_owned(),
        more => format!("these {more} stores"),
    };
    let owners = match config.owner {
        Owner::Aws => "owners asked of AWS",
        Owner::Template(_) | Owner::Table(..) => "owners by name",
    };
    let (overlap, quarantine) = (spaced(config.policy.overlap), spaced(config.policy.quarantine));
    let mut line = format!("wrote   {}: {stores}", shown.display());
    for more in [owners, &format!("{overlap} overlap"), &format!("{quarantine} quarantine")] {
        line.push(',');
        // A comma may follow.
        if line.chars().count() + more.chars().count() + 2 > WIDTH {
            context.terminal.say(&line);
            line = format!("{INDENT}{more}");
        } else {
            line = format!("{line} {more}");
        }
    }
    context.terminal.say(&line);
}

/// Says where the second file is that `init` has written: for root it is in no folder of a user.
fn say_trusted(context: &Context, records: &Path) {
    const TRUSTED: &str = "trusted as it is now; that is recorded in";
    let records = records.display().to_string();
    let records = printable(&records);
    let space = if TRUSTED.len() + records.chars().count() < WIDTH { " ".to_owned() } else { format!("\n{INDENT}") };
    context.terminal.say(&format!("{TRUSTED}{space}{records}"));
}

/// `1 h` for `1h`, as in a sentence.
fn spaced(span: Duration) -> String {
    let spaced = |letter: char| if letter.is_ascii_alphabetic() { format!(" {letter}") } else { letter.to_string() };
    words(span).chars().map(spaced).collect()
}

/// Says which command comes next.
fn say_next(context: &Context, shown: &Path, path: &Path, stores: usize) {
    let variable = context.host.variable("ROTATOR_CONFIG");
    let read = variable.map_or_else(|| context.host.folder.join(FILE_NAME), |named| context.host.folder.join(named));
    let mut flags = String::new();
    if context.global.config.is_some() || read != path {
        flags.push_str(&format!(" --config {}", quoted(shown)));
    }
    if let Some(journal) = &context.global.journal {
        flags.push_str(&format!(" --journal {}", quoted(journal)));
    }
    let say = |text: String| context.terminal.say(&text);
    if stores == 0 {
        say("next    write into the file where your keys are: store = \"…\"".to_owned());
        say(format!("{INDENT}or make an embedded store: store = \"sqlite:secrets.db\", and then"));
        say(format!("{INDENT}rotator store import{flags} FILE"));
    } else {
        say(format!("next    rotator doctor{flags}       changes nothing"));
        say(format!("then    rotator plan{flags}         changes nothing"));
    }
    if !context.global.store.is_empty() && context.host.variable("ROTATOR_STORE").is_some() {
        say("note    ROTATOR_STORE is set, and counts instead of the stores in the file".to_owned());
    }
}
