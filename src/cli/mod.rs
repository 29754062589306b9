//! FLOOR 5: the command line: arguments, configuration, output and exit codes. This floor connects the engine to the
//! adapters, and decides nothing about a rotation.

pub mod args;
pub mod commands;
pub mod config;
pub mod context;
pub mod error;
mod examples;
pub mod exit;
mod help;
pub mod host_env;
pub mod logging;
mod manual;
mod mfa_prompt;
mod mistyped;
pub mod output;
pub mod panic_hook;
mod passes;
pub mod runtime;
mod session_end;
pub mod snapshot;
pub mod wiring;

use std::ffi::OsString;
use std::sync::Arc;

use args::{ColorWhen, Command};
use commands::{
    abort, allow, completions, demo, doctor, init, man, plan, policy, reactivate, resolve, resume, rotate, run,
    sandbox, schema, status, store,
};
use context::Context;
use error::CliError;
use exit::Exit;
use host_env::{HostEnv, Startup};
use output::document::{ErrorDocument, ErrorShown, to_bytes};
use output::given;
use output::progress;
use output::terminal::{self, Terminal, to_stdout};

use crate::adapters::aws::MfaSessions;

/// Parses the arguments, runs the command and reports an error. Returns the exit code. `lock_memory` is called before a
/// command that may read a secret begins; it keeps the memory of the process out of swap.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>, startup: Startup, lock_memory: fn()) -> u8 {
    let given: Vec<OsString> = args.collect();
    let host = HostEnv::of_this_process(startup);
    let cli = match help::parse(&given) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are reported as errors, too. A closed stdout is not a failure.
            let error = mistyped::with_hint(error);
            if error.use_stderr() && asks_for_json(&given) {
                let shown = mistyped::as_error(&error);
                let _ = to_stdout(&to_bytes(&ErrorDocument::new(ErrorShown::of(&shown))));
            }
            let _ = terminal::tell(error.use_stderr(), &host, color_of(&given), |color, width| {
                help::shown(&error, color, width)
            });
            return u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code());
        }
    };
    // A sixth of the time of `status` would go to the lock of pages that hold no secret.
    if !matches!(cli.command, Command::Status(_)) {
        lock_memory();
    }
    let terminal = Terminal::of_this_process(&cli.global, &host);
    given::set(&given, &cli.global, &cli.command);
    let mfa = Arc::new(MfaSessions::new(mfa_prompt::Codes::new(terminal, cli.global.mfa_code.clone())));
    let context = Context { global: cli.global, host, terminal, mfa };
    let logging =
        logging::start(&context.global, &context.host, terminal.color_on_stderr, terminal.width_of_an_operator());
    let result = logging.and_then(|()| dispatch(&context, &cli.command));
    progress::end();
    match result {
        Ok(exit) => exit.code(),
        Err(error) => {
            if terminal.is_json() && !error.is_in_document {
                let _ = to_stdout(&to_bytes(&ErrorDocument::new(ErrorShown::of(&error))));
            }
            terminal.warn(&format!("rotator: {error}"));
            error.exit.code()
        }
    }
}

/// Whether the arguments, which cannot be parsed, ask for JSON.
fn asks_for_json(args: &[OsString]) -> bool {
    let pairs = args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json");
    pairs || args.iter().any(|arg| arg == "--output=json")
}

/// What the arguments, which cannot be parsed, say of colours.
fn color_of(args: &[OsString]) -> ColorWhen {
    let pairs = args.windows(2).filter(|pair| pair[0] == "--color").map(|pair| &pair[1]);
    let said: Vec<&str> = pairs.filter_map(|value| value.to_str()).collect();
    let joined = args.iter().filter_map(|arg| arg.to_str()?.strip_prefix("--color="));
    match said.into_iter().chain(joined).last() {
        Some("always") => ColorWhen::Always,
        Some("never") => ColorWhen::Never,
        Some(_) | None => ColorWhen::Auto,
    }
}

fn dispatch(context: &Context, command: &Command) -> Result<Exit, CliError> {
    match command {
        Command::Run(args) => run::run(context, args),
        Command::Rotate(args) => rotate::rotate(context, args),
        Command::Resume(args) => resume::resume(context, args),
        Command::Status(args) => status::status(context, args),
        Command::Plan(args) => plan::plan(context, &args.choice),
        Command::Abort(args) => abort::abort(context, args),
        Command::Reactivate(one) => reactivate::reactivate(context, &one.rotation),
        Command::Resolve(args) => resolve::resolve(context, &args.rotation, &args.resolution),
        Command::Store(command) => store::store(context, command),
        Command::Doctor => doctor::doctor(context),
        Command::Policy(args) => policy::policy(context, args),
        Command::Init(args) => init::init(context, args),
        Command::Allow(args) => allow::allow(context, args),
        Command::Demo => demo::demo(context),
        Command::Sandbox(args) => sandbox::sandbox(context, args),
        Command::Completions { shell } => completions::completions(*shell),
        Command::Schema(command) => schema::schema(command),
        Command::Man(args) => man::man(context, args),
    }
}
