//! `sandbox`: runs the simulation of IAM and STS as a separate process, to try things out.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::store::open_or_make;
use crate::cli::args::SandboxArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::terminal::to_stdout;
use crate::sandbox::{Behaviour, KeyStatus, Sandbox, SandboxOptions};
use crate::types::error_text::with_causes;
use crate::types::name::EntryName;
use crate::types::secret::{NewKey, SecretValue};
use crate::types::shell::quoted;

/// The age of a seeded key, which is above any sensible `older_than`.
const SEEDED_AGE: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// Runs `rotator sandbox` until a signal is received.
///
/// # Errors
/// Exit code 2 if a seed is not valid, 1 if the port is not available.
pub fn sandbox(context: &Context, args: &SandboxArgs) -> Result<Exit, CliError> {
    let behaviour = Behaviour { allow_slash_in_user_names: args.allow_slash, ..Behaviour::default() };
    let sandbox = start(SandboxOptions { port: args.port, behaviour, ..SandboxOptions::default() })?;
    if !args.seed.is_empty() {
        seed(context, args, &sandbox)?;
    }
    to_stdout(exports(args, &sandbox).as_bytes())?;
    context.terminal.say("the sandbox runs until Ctrl-C; the lines above point rotator and the AWS CLI at it");
    let failed = |error: std::io::Error| CliError::failed(format!("waiting for a signal failed: {error}"), "try again");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })?;
    sandbox.shutdown();
    // A signal is the normal way to end this command.
    Ok(Exit::Done)
}

/// Starts a sandbox.
///
/// # Errors
/// Exit code 1 if the port is not available.
pub(super) fn start(options: SandboxOptions) -> Result<Sandbox, CliError> {
    let port = options.port;
    Sandbox::start(options).map_err(|error| {
        CliError::failed(
            format!("the sandbox cannot listen on 127.0.0.1:{port}: {error}"),
            "choose another with --port",
        )
    })
}

fn exports(args: &SandboxArgs, sandbox: &Sandbox) -> String {
    let admin = sandbox.admin();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "export AWS_ENDPOINT_URL={}", sandbox.endpoint_url());
    let _ = writeln!(text, "export AWS_ACCESS_KEY_ID={}", admin.id);
    let _ = writeln!(text, "export AWS_SECRET_ACCESS_KEY={}", admin.secret.expose());
    let _ = writeln!(text, "export AWS_REGION=us-east-1");
    let _ = writeln!(text, "unset AWS_SESSION_TOKEN AWS_PROFILE");
    if !args.seed.is_empty() && !args.allow_slash {
        let _ = writeln!(text, "export ROTATOR_OWNER_TEMPLATE='{{app}}-{{environment}}'");
    }
    text
}

fn seed(context: &Context, args: &SandboxArgs, sandbox: &Sandbox) -> Result<(), CliError> {
    let config = context.config(&Default::default())?;
    let mut entries = Vec::new();
    for scope in &args.seed {
        let entry = |name: &str| {
            EntryName::new(format!("{scope}/{name}"))
                .map_err(|error| CliError::usage(error.to_string(), "write for example --seed shop/production"))
        };
        let (id, secret) = (entry("AWS_ACCESS_KEY_ID")?, entry("AWS_SECRET_ACCESS_KEY")?);
        let user = if args.allow_slash { scope.clone() } else { scope.replace('/', "-") };
        let key = user_with_key(sandbox, &user)?;
        entries.push((id, SecretValue::new(key.id.as_str().as_bytes().to_vec())));
        entries.push((secret, SecretValue::new(key.secret.expose().as_bytes().to_vec())));
    }
    let store = open_or_make(context, &config)?;
    let (uri, _) = config.embedded()?;
    // A store from a file or the environment may be in use, so it is not filled unless it is empty.
    let is_named = !context.global.store.is_empty();
    let added = store.add(entries, !is_named);
    let added = added
        .map_err(|error| CliError::failed(format!("failed to {}", with_causes(&error)), "name another with --store"))?;
    added.map_err(|entry| {
        let why = if is_named {
            format!("the store {} has an entry {entry} already, and a seed replaces none", uri.name)
        } else {
            format!("the store {} is not empty (it has {entry}), and the call does not name it", uri.name)
        };
        let seeds = args.seed.iter().map(|scope| format!(" --seed {}", quoted(scope)));
        let command = format!("rotator --store sqlite:sandbox.db sandbox{}", seeds.collect::<String>());
        CliError::usage(why, format!("nothing was written; name a store of its own: {command}"))
    })
}

/// Makes a user that has one old key.
///
/// # Errors
/// Exit code 2 if IAM would refuse the name.
pub(super) fn user_with_key(sandbox: &Sandbox, user: &str) -> Result<NewKey, CliError> {
    let made = sandbox.add_user(user).and_then(|()| sandbox.create_key(user)).and_then(|key| {
        // The key is replaced by the same key with an earlier date.
        sandbox.delete_key(user, key.id.as_str())?;
        let created = sandbox.now() - jiff::SignedDuration::try_from(SEEDED_AGE).unwrap_or_default();
        sandbox.add_key(user, key.id.as_str(), key.secret.expose(), KeyStatus::Active, Some(created))?;
        // A key that no program uses is another matter (`unused_for`).
        sandbox.use_key(key.id.as_str())?;
        Ok(key)
    });
    made.map_err(|error| {
        CliError::usage(format!("the sandbox refuses user {user}: {error}"), "try --allow-slash, or another name")
    })
}
